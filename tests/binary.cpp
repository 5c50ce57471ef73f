// The cases of binary.
