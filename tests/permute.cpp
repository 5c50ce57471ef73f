// The cases of permute.
