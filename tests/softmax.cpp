// The cases of softmax.
