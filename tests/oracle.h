// Naive f64 pieces that the oracles of several composites share.
#pragma once

#include "opcheck.h"

namespace satin::oracle {

using opcheck::Array;
using opcheck::Arrays;

/// Rows of c channels, normalized.
Array layer_norm(const Array& x, const Array& gamma, const Array& beta);
/// x [rows, k] w [k, n] + b: x is seen as rows of k channels, whatever its shape.
Array linear(const Array& x, const Array& w, const Array& b);
double gelu(double x);
double sigmoid(double x);

/// One gMLP branch, pixel by pixel from the formula; weights are x[first ...] in gmlp's order.
Array gmlp(const Array& image, const Arrays& x, size_t first, bool grid, int64_t size);

/// Their derivatives: the cotangents of the inputs in order, dy being that of the result.
Arrays layer_norm_grad(const Array& x, const Array& gamma, const Array& dy);
Arrays linear_grad(const Array& x, const Array& w, const Array& dy);
double gelu_grad(double x);
/// {dimage, and the weights' in gmlp's order}.
Arrays gmlp_grad(
    const Array& image, const Arrays& x, size_t first, bool grid, int64_t size, const Array& dy);

}  // namespace satin::oracle
