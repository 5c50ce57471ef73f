// The page report.html of a run: curves of its log and sample pictures of its present weights.
#pragma once

#include <filesystem>
#include <string>

#include "mgpnet/trainer.h"

namespace mgpnet {

/// One HTML page without links: settings, curves of loss, PSNR, gradient norm and learning rate,
/// three samples (input, result, ground truth).
std::string report_page(const std::filesystem::path& log,
                        const Trainer& trainer,
                        const Globals& globals);

}  // namespace mgpnet
