// The cases of layer_norm.
