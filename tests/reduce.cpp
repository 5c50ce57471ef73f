// The cases of reduce.
