// The cases of cast.
