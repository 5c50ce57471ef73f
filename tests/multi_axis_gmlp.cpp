// The cases of multi_axis_gmlp.
