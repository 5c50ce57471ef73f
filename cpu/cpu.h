// The CPU backend: which instruction sets this binary holds, which the processor has, and the
// Backend that runs on one of them.
#pragma once

#include <string_view>
#include <vector>

#include "cpu/thread_pool.h"
#include "tensor/backend.h"

namespace satin::cpu {

/// amx: what avx512 does, and products in bf16 (Options::precision) on the matrix unit.
enum class Isa : uint8_t { baseline, avx2, avx512, amx };

std::string_view name_of(Isa isa);

/// Whether a path has kernels with products in bf16 (tensor/precision.h): amx, and baseline their
/// scalar twin, to compare with.  avx2 and avx512 would only be slower than in f32: they use that.
bool multiplies_in_bf16(Isa isa);

/// Whose f32 kernels a path runs, by name: avx512's for amx, else its own.  Same name, same bits.
std::string_view f32_path(std::string_view name);

/// The paths that are compiled in and that this processor can run, slowest first.
std::vector<Isa> available_isas();

/// The fastest available path, or the one that the environment variable SATIN_ISA names.
/// errors: SATIN_ISA names no path, or one that this processor lacks.
Isa default_isa();

/// The backend of one path; lives as long as the process.
const Backend& backend(Isa isa);
const Backend& backend();  ///< of default_isa()

/// For much memory that is about to be used: fewer, larger pages are faster to get and to find
/// again.  A wish: without them everything works as well.
void ask_for_large_pages(void* memory, int64_t bytes);

}  // namespace satin::cpu
