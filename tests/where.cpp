// The cases of where.
