// Pictures that the generator draws on purpose: the sheet of pairs in docs/ and the things people
// smooth in examples/pictures/.
#pragma once

#include <string>
#include <vector>

#include "mgpnet/synth.h"

namespace mgpnet {

/// columns x rows pairs of the options' size, pair `first` on, ground truth left of its input.
Image contact_sheet(const SynthOptions& options, int columns, int rows, uint64_t first = 0);

/// mosaic, graffiti, cloth, painting: real materials rather than added layers, 512 x 384.
std::vector<std::string> example_names();
/// errors: std::invalid_argument for a name that is not in example_names()
Image example_picture(const std::string& name);

}  // namespace mgpnet
