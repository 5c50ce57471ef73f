// The cases of full.
