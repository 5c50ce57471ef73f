// The cases of unary.
