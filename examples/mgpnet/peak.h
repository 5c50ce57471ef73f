// What this machine can do at most, measured: multiply-adds a second on one instruction set and
// number of threads, and bytes a second between memory and processor.  bench and inspect hold
// every time against these.
#pragma once

#include "cpu/cpu.h"
#include "tensor/precision.h"

namespace mgpnet {

/// GFLOP/s (a multiply-add is two) of independent f32 multiply-adds in registers, the best of some
/// turns of a few milliseconds.  baseline has no fused ones: as many products as sums.  In bf16 on
/// amx: of products of tiles in the matrix unit.
double peak_gflops(satin::cpu::Isa isa,
                   satin::ThreadPool& pool,
                   satin::Precision precision = satin::Precision::f32);

/// GB/s of a = b + s c on vectors of `bytes` in all: two read, one written.  Needs that memory, so
/// measure the memory of what you compare first.
inline constexpr int64_t kTriadBytes = int64_t{384} << 20;
double triad_bandwidth(satin::ThreadPool& pool, int64_t bytes = kTriadBytes);

/// The most GFLOP/s that anything can reach which computes `macs` and moves `bytes`.
double roofline(double peak, double bandwidth, int64_t macs, int64_t bytes);

}  // namespace mgpnet
