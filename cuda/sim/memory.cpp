#include "cuda/sim/memory.h"

#include <cstring>
#include <new>

#include <sys/mman.h>

#include "tensor/error.h"

namespace satin::cuda::sim {
namespace {

constexpr size_t kGap = 4096;

size_t whole_pages(size_t bytes) { return (bytes + kGap - 1) / kGap * kGap; }

}  // namespace

Memory& Memory::get() {
  static Memory memory;
  return memory;
}

Memory::Memory() {
  void* base =
      mmap(nullptr, kAddresses, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) throw std::bad_alloc();
  base_ = static_cast<char*>(base);
  next_ = base_ + kSharedBytes + kGap;
}

void Memory::protect(bool open) {
  const int access = open ? PROT_READ | PROT_WRITE : PROT_NONE;
  mprotect(base_, kSharedBytes, access);
  for (const auto& [at, region] : regions_)
    mprotect(const_cast<char*>(at), whole_pages(region->bytes() + 1), access);
}

Region* Memory::find_allocation(const char* at) {
  const auto after = regions_.upper_bound(at);
  if (after == regions_.begin()) return nullptr;
  Region* region = std::prev(after)->second.get();
  return region->contains(at) ? last_ = region : nullptr;
}

std::string Memory::outside(const void* p) const {
  const char* at = static_cast<const char*>(p);
  const Region* before = shared_.get();
  if (!is_shared(p)) {
    const auto after = regions_.upper_bound(at);
    before = after == regions_.begin() ? nullptr : std::prev(after)->second.get();
  }
  if (!before || before->offset(p) > before->bytes() + kGap) return "outside of all allocations";
  return cat(before->offset(p) - before->bytes(), " past the end of ", before->name());
}

void* Memory::allocate(size_t bytes) {
  const size_t size = whole_pages(bytes + 1);
  if (size > static_cast<size_t>(base_ + kAddresses - next_) - kGap) throw std::bad_alloc();
  char* at = next_;
  if (mprotect(at, size, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
  next_ += size + kGap;
  std::memset(at, 0xff, bytes);
  mprotect(at, size, PROT_NONE);
  used_ += bytes;
  regions_[at] = std::make_unique<Region>("device memory", at, bytes);
  return at;
}

void Memory::release(void* memory) {
  const auto found = regions_.find(static_cast<char*>(memory));
  if (found == regions_.end()) return;
  const size_t size = whole_pages(found->second->bytes() + 1);
  used_ -= found->second->bytes();
  if (last_ == found->second.get()) last_ = nullptr;
  regions_.erase(found);
  madvise(memory, size, MADV_DONTNEED);
  mprotect(memory, size, PROT_NONE);  // never handed out again: use after release is seen too
}

void* Memory::open_shared(size_t bytes) {
  if (!shared_ || shared_->bytes() != bytes)
    shared_ = std::make_unique<Region>("shared memory", base_, bytes);
  std::memset(base_, 0xff, bytes);
  return base_;
}

}  // namespace satin::cuda::sim
