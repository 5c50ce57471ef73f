// The cases of broadcast.
