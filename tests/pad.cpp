// The cases of pad.
