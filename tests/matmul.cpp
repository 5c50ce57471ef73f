// The cases of matmul.
