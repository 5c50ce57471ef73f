// The cases of conv2d.
