#include "cuda/sim/shadow.h"

#include <new>

#include <sys/mman.h>

#include "tensor/error.h"

namespace satin::cuda::sim {

Region::Region(const char* name, const void* begin, size_t bytes)
    : name_(name), begin_(static_cast<const char*>(begin)), bytes_(bytes) {
  void* memory = mmap(nullptr, (bytes / 2 + 1) * sizeof(Cell), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  cells_ = static_cast<Cell*>(memory);
}

Region::~Region() { munmap(cells_, (bytes_ / 2 + 1) * sizeof(Cell)); }

std::string Region::race(const void* p, size_t bytes, bool write, const Moment& now) const {
  const size_t from = offset(p), to = from + bytes;
  for (size_t c = from / 2; c * 2 < to; ++c) {
    const Cell& cell = cells_[c];
    const Mark* other = clash(cell.write, now) ? &cell.write : nullptr;
    if (write && !other && clash(cell.read, now)) other = &cell.read;
    if (other)
      return cat("race: ", write ? "writes" : "reads", " what ",
                 other->several || other->far_away ? "others, the last of them " : "", "thread ",
                 other->moment.thread, " of block ", other->moment.block,
                 other == &cell.write ? " wrote" : " read", ", and no barrier stands between (",
                 name_, ", byte ", from, ")");
  }
  return {};
}

}  // namespace satin::cuda::sim
