// The cases of gmlp.
