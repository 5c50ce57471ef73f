// The cases of slice.
