// The cases of adam.
