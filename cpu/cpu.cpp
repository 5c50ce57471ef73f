#include "cpu/cpu.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

#include "cpu/kernel_table.h"
#include "tensor/pack_weight.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace satin {

void parallel_on(ThreadPool* pool,
                 int64_t n,
                 void (*body)(void* context, int64_t i),
                 void* context);
void parallel_on(ThreadPool* pool,
                 int64_t n,
                 void (*body)(void* context, int64_t i),
                 void* context) {
  if (pool && n > 1) {
    pool->parallel(n, body, context);
  } else {
    for (int64_t i = 0; i < n; ++i) body(context, i);
  }
}

namespace cpu {

namespace baseline {
extern const KernelTable kKernels;
extern const Bf16Table kBf16Kernels;
}  // namespace baseline
#ifdef SATIN_HAVE_avx2
namespace avx2 {
extern const KernelTable kKernels;
}
#endif
#ifdef SATIN_HAVE_avx512
namespace avx512 {
extern const KernelTable kKernels;
}
#endif
#ifdef SATIN_HAVE_amx
namespace amx {
extern const Bf16Table kBf16Kernels;
}
#endif

namespace {

constexpr std::align_val_t kAlignment{64};

class CpuBackend final : public Backend {
 public:
  CpuBackend(Isa isa, const KernelTable& f32, const Bf16Table* bf16 = nullptr)
      : isa_(isa), f32_(f32), bf16_(bf16) {}

  std::string_view name() const override { return name_of(isa_); }
  int64_t scratch(const Call& call) const override {
    int64_t bytes = 0;  // whichever of them runs
    for (const Kernel* kernel : {plain_kernel(call), &kernel_of_row(call), bf16_kernel(call)})
      if (kernel && kernel->scratch) bytes = std::max(bytes, kernel->scratch(call));
    return bytes;
  }
  Packing packing(const Call& call) const override {
    const Kernel* bf16 = bf16_kernel(call);
    const Kernel& kernel = bf16 ? *bf16 : kernel_of_row(call);
    Packing packing = kernel.packing ? kernel.packing(call) : Packing{};
    packing.bf16 = bf16 != nullptr;
    return packing;
  }
  void run(const Call& call) const override {
    if (call.op == Op::pack_weight && call.as<PackWeightAttrs>().bf16) {
      for (const Bf16Kernel& entry : *bf16_)
        if (static_cast<int>(entry.op) == call.as<PackWeightAttrs>().op) entry.kernel.pack(call);
      return;
    }
    if (call.exec->plain) return plain_kernel(call)->run(call);
    const Kernel* bf16 = bf16_kernel(call);
    (bf16 ? *bf16 : kernel_of_row(call)).run(call);
  }

  void* allocate(int64_t bytes) const override {
    void* memory =
        ::operator new(static_cast<size_t>(bytes > 0 ? bytes : 1), kAlignment, std::nothrow);
    if (!memory) throw OutOfMemory(cat("the CPU has no ", bytes, " bytes of memory left"));
    ask_for_large_pages(memory, bytes);
    return memory;
  }
  void release(void* memory) const override { ::operator delete(memory, kAlignment); }
  void write(void* to, const void* host, int64_t bytes) const override {
    if (bytes > 0) std::memcpy(to, host, static_cast<size_t>(bytes));
  }
  void read(void* host, const void* from, int64_t bytes) const override {
    if (bytes > 0) std::memcpy(host, from, static_cast<size_t>(bytes));
  }

 private:
  const Kernel& kernel_of_row(const Call& call) const {
    const auto is_f64 = [](const View& x) { return x.dtype == DType::f64; };
    const bool f64 = std::ranges::any_of(call.in, is_f64) || std::ranges::any_of(call.out, is_f64);
    return (f64 ? baseline::kKernels : f32_)[static_cast<int>(call.op)];
  }
  /// The loops that state the meaning: the same for every instruction set.
  static const Kernel* plain_kernel(const Call& call) {
    return &baseline::kKernels[static_cast<int>(call.op)];
  }
  /// The kernel for a call that asks for products in bf16; null: that of the row.
  const Kernel* bf16_kernel(const Call& call) const {
    if (call.precision != Precision::bf16 || !bf16_) return nullptr;
    for (const Bf16Kernel& entry : *bf16_)
      if (entry.op == call.op) return entry.takes(call) ? &entry.kernel : nullptr;
    return nullptr;
  }

  Isa isa_;
  const KernelTable& f32_;  ///< for calls without f64 among their values
  const Bf16Table* bf16_;   ///< null: products in bf16 are in f32
};

/// Asks Linux for the tiles' registers, which threads have on demand only.
bool tiles_granted() {
#if defined(__x86_64__) && defined(__linux__) && defined(SYS_arch_prctl)
  constexpr int kRequest = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  static const bool granted = syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
  return granted;
#else
  return false;
#endif
}

bool processor_has(Isa isa) {
  switch (isa) {
    case Isa::baseline:
      return true;
#if defined(__x86_64__)
    case Isa::avx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
             __builtin_cpu_supports("bmi2");
    case Isa::avx512:
      return processor_has(Isa::avx2) && __builtin_cpu_supports("avx512f") &&
             __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vl");
    case Isa::amx: {
      unsigned a, b, c, d, a1;
      return processor_has(Isa::avx512) && __get_cpuid_count(7, 0, &a, &b, &c, &d) &&
             (d >> 22 & 1) && (d >> 24 & 1) &&                             // amx-bf16, amx-tile
             __get_cpuid_count(7, 1, &a1, &b, &c, &d) && (a1 >> 5 & 1) &&  // avx512-bf16
             tiles_granted();
    }
#else
    default:
      return false;
#endif
  }
  return false;
}

}  // namespace

void ask_for_large_pages([[maybe_unused]] void* memory, [[maybe_unused]] int64_t bytes) {
#if defined(__linux__)
  constexpr int64_t kPage = 4096, kLargePage = 2 << 20;
  char* start = static_cast<char*>(memory);
  const int64_t before = -reinterpret_cast<intptr_t>(start) & (kPage - 1);
  const int64_t pages = (bytes - before) / kPage * kPage;
  if (pages >= kLargePage) madvise(start + before, static_cast<size_t>(pages), MADV_HUGEPAGE);
#endif
}

std::string_view name_of(Isa isa) {
  constexpr std::string_view kNames[] = {"baseline", "avx2", "avx512", "amx"};
  return kNames[static_cast<int>(isa)];
}

bool multiplies_in_bf16(Isa isa) { return isa == Isa::baseline || isa == Isa::amx; }

std::string_view f32_path(std::string_view name) {
  return name == name_of(Isa::amx) ? name_of(Isa::avx512) : name;
}

std::vector<Isa> available_isas() {
  std::vector<Isa> isas = {Isa::baseline};
#ifdef SATIN_HAVE_avx2
  if (processor_has(Isa::avx2)) isas.push_back(Isa::avx2);
#endif
#ifdef SATIN_HAVE_avx512
  if (processor_has(Isa::avx512)) isas.push_back(Isa::avx512);
#endif
#ifdef SATIN_HAVE_amx
  if (processor_has(Isa::amx)) isas.push_back(Isa::amx);
#endif
  return isas;
}

Isa default_isa() {
  const std::vector<Isa> isas = available_isas();
  const char* forced = std::getenv("SATIN_ISA");
  if (!forced || !*forced) return isas.back();
  std::string known;
  for (const Isa isa : isas) {
    if (name_of(isa) == forced) return isa;
    known += cat(known.empty() ? "" : ", ", name_of(isa));
  }
  throw Error(cat("SATIN_ISA=", forced, ": this processor and binary have ", known));
}

const Backend& backend(Isa isa) {
  static const CpuBackend kBaseline(Isa::baseline, baseline::kKernels, &baseline::kBf16Kernels);
#ifdef SATIN_HAVE_avx2
  static const CpuBackend kAvx2(Isa::avx2, avx2::kKernels);
  if (isa == Isa::avx2) return kAvx2;
#endif
#ifdef SATIN_HAVE_avx512
  static const CpuBackend kAvx512(Isa::avx512, avx512::kKernels);
  if (isa == Isa::avx512) return kAvx512;
#endif
#ifdef SATIN_HAVE_amx
  static const CpuBackend kAmx(Isa::amx, avx512::kKernels, &amx::kBf16Kernels);
  if (isa == Isa::amx) return kAmx;
#endif
  if (isa != Isa::baseline) throw Error(cat(name_of(isa), " is not compiled into this binary"));
  return kBaseline;
}

const Backend& backend() { return backend(default_isa()); }

}  // namespace cpu
}  // namespace satin
