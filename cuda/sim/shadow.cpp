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

bool Region::clash(const Mark& mark, const Moment& now) {
  if (mark.moment.launch != now.launch) return false;
  if (mark.far_away || mark.moment.block != now.block) return true;
  if (mark.several) return mark.moment.barriers == now.barriers;
  return !now.after(mark.moment);
}

void Region::note_reader(Mark& mark, const Moment& now) {
  const Moment then = mark.moment;
  if (then.launch != now.launch) {
    mark = {now};
    return;
  }
  mark.far_away = mark.far_away || then.block != now.block;
  mark.several = then.barriers == now.barriers && (mark.several || !now.after(then));
  mark.moment = now;
}

std::string Region::access(const void* p, size_t bytes, bool write, const Moment& now) {
  const size_t from = offset(p), to = from + bytes;
  for (size_t c = from / 2; c * 2 < to; ++c) {
    Cell& cell = cells_[c];
    const Mark* other = clash(cell.write, now) ? &cell.write : nullptr;
    if (write && !other && clash(cell.read, now)) other = &cell.read;
    if (other)
      return cat("race: ", write ? "writes" : "reads", " what ",
                 other->several || other->far_away ? "others, the last of them " : "", "thread ",
                 other->moment.thread, " of block ", other->moment.block,
                 other == &cell.write ? " wrote" : " read", ", and no barrier stands between");
    if (write)
      cell.write = {now};
    else
      note_reader(cell.read, now);
  }
  return {};
}

}  // namespace satin::cuda::sim
