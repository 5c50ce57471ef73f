// The cases of reshape.
