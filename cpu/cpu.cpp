#include "cpu/cpu.h"

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

#include "cpu/kernel_table.h"

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
}
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

namespace {

constexpr std::align_val_t kAlignment{64};

class CpuBackend final : public Backend {
 public:
  CpuBackend(Isa isa, const KernelTable& kernels) : isa_(isa), kernels_(kernels) {}

  std::string_view name() const override { return name_of(isa_); }
  int64_t scratch(const Call& call) const override {
    const Kernel& kernel = kernels_[static_cast<int>(call.op)];
    return kernel.scratch ? kernel.scratch(call) : 0;
  }
  Packing packing(const Call& call) const override {
    const Kernel& kernel = kernels_[static_cast<int>(call.op)];
    return kernel.packing ? kernel.packing(call) : Packing{};
  }
  void run(const Call& call) const override { kernels_[static_cast<int>(call.op)].run(call); }

  void* allocate(int64_t bytes) const override {
    void* memory =
        ::operator new(static_cast<size_t>(bytes > 0 ? bytes : 1), kAlignment, std::nothrow);
    if (!memory) throw Error(cat("the CPU has no ", bytes, " bytes of memory left"));
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
  Isa isa_;
  const KernelTable& kernels_;
};

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
  constexpr std::string_view kNames[] = {"baseline", "avx2", "avx512"};
  return kNames[static_cast<int>(isa)];
}

std::vector<Isa> available_isas() {
  std::vector<Isa> isas = {Isa::baseline};
#ifdef SATIN_HAVE_avx2
  if (processor_has(Isa::avx2)) isas.push_back(Isa::avx2);
#endif
#ifdef SATIN_HAVE_avx512
  if (processor_has(Isa::avx512)) isas.push_back(Isa::avx512);
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
  static const CpuBackend kBaseline(Isa::baseline, baseline::kKernels);
#ifdef SATIN_HAVE_avx2
  static const CpuBackend kAvx2(Isa::avx2, avx2::kKernels);
  if (isa == Isa::avx2) return kAvx2;
#endif
#ifdef SATIN_HAVE_avx512
  static const CpuBackend kAvx512(Isa::avx512, avx512::kKernels);
  if (isa == Isa::avx512) return kAvx512;
#endif
  if (isa != Isa::baseline) throw Error(cat(name_of(isa), " is not compiled into this binary"));
  return kBaseline;
}

const Backend& backend() { return backend(default_isa()); }

}  // namespace cpu
}  // namespace satin
