// The cases of rcab.
