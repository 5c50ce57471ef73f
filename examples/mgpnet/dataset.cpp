// Sources of training crops: order, place and turn of every sample follow from (seed, sample).
#include "mgpnet/dataset.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <mutex>

#include "mgpnet/synth_math.h"

namespace mgpnet {

namespace {

using synth::Rng;

// Streams of one seed that must not meet.
enum Stream : uint64_t { kOrder = 0x6f72646572, kPlace = 0x706c616365, kBlend = 0x626c656e64 };

uint64_t derived(uint64_t seed, Stream stream, uint64_t index) {
  return Rng::mix(Rng::mix(seed + 0x9e3779b97f4a7c15ull * stream) + index);
}

// Where the mirrored continuation of 0..n-1 (edge not repeated) has place i >= 0.
int reflected(int i, int n) {
  if (n == 1) return 0;
  const int period = 2 * (n - 1);
  i %= period;
  return i < n ? i : period - i;
}

struct Turn {
  bool flip_x = false, flip_y = false;
  bool transpose = false;  // with the flips: all four quarter turns
};

Turn draw_turn(Rng& rng, const SourceOptions& o) {
  Turn turn;
  // All three are drawn whatever the options, so that switching one off leaves the others alone.
  const bool a = rng.chance(0.5f), b = rng.chance(0.5f), c = rng.chance(0.5f);
  const bool d = rng.chance(0.5f);
  if (o.flip) turn.flip_x = a, turn.flip_y = b;
  if (o.rotate) {
    // Turns by 0, 90, 180, 270 degrees: the transpose with one flip more, both flips for 180.
    turn.transpose = c;
    if (c != d) turn.flip_x = !turn.flip_x;
    if (d) turn.flip_y = !turn.flip_y;
  }
  return turn;
}

Image cut(const Image& image, int x0, int y0, int size, const Turn& turn) {
  Image out;
  out.width = out.height = size;
  out.pixels.resize(static_cast<size_t>(size) * size * 3);
  uint16_t* to = out.pixels.data();
  for (int y = 0; y < size; ++y)
    for (int x = 0; x < size; ++x) {
      int u = turn.transpose ? y : x, v = turn.transpose ? x : y;
      if (turn.flip_x) u = size - 1 - u;
      if (turn.flip_y) v = size - 1 - v;
      const uint16_t* from =
          image.at(reflected(x0 + u, image.width), reflected(y0 + v, image.height));
      for (int c = 0; c < 3; ++c) *to++ = from[c];
    }
  return out;
}

class FolderSource : public PairSource {
 public:
  FolderSource(std::vector<PairFiles> pairs, const SourceOptions& options, Reader read)
      : pairs_(std::move(pairs)), options_(options), read_(std::move(read)) {
    if (options_.limit > 0 && options_.limit < pairs_.size()) pairs_.resize(options_.limit);
    if (pairs_.empty()) throw DataError("no pairs", "training data", "the list of pairs is empty");
    cache_.resize(pairs_.size());
  }

  uint64_t count() const override { return pairs_.size(); }
  std::string name(uint64_t sample) const override { return pairs_[place(sample)].name; }

  Pair crop(uint64_t sample, int size) const override {
    const std::shared_ptr<const Pair> pair = load(place(sample));
    Rng rng(derived(options_.seed, kPlace, sample));
    const float u = rng.uniform(), v = rng.uniform();
    const Turn turn = draw_turn(rng, options_);
    const auto offset = [&](float t, int side) {
      return side <= size
                 ? 0
                 : std::min(static_cast<int>(t * static_cast<float>(side - size + 1)), side - size);
    };
    const int x0 = offset(u, pair->gt.width), y0 = offset(v, pair->gt.height);
    return {cut(pair->gt, x0, y0, size, turn), cut(pair->input, x0, y0, size, turn)};
  }

 private:
  size_t place(uint64_t sample) const {
    const uint64_t n = pairs_.size(), epoch = sample / n, i = sample % n;
    return options_.shuffle ? shuffled(i, n, derived(options_.seed, kOrder, epoch)) : i;
  }

  // Decoded pictures stay until the budget is used up; the rest is read every time.
  std::shared_ptr<const Pair> load(size_t i) const {
    {
      const std::lock_guard lock(mutex_);
      if (cache_[i]) return cache_[i];
    }
    auto pair = std::make_shared<const Pair>(load_pair(pairs_[i], read_));
    const size_t bytes = (pair->gt.pixels.size() + pair->input.pixels.size()) * sizeof(uint16_t);
    const std::lock_guard lock(mutex_);
    if (cache_[i]) return cache_[i];
    if (cached_bytes_ + bytes <= options_.cache_bytes) {
      cached_bytes_ += bytes;
      cache_[i] = pair;
    }
    return pair;
  }

  std::vector<PairFiles> pairs_;
  SourceOptions options_;
  Reader read_;
  mutable std::mutex mutex_;
  mutable std::vector<std::shared_ptr<const Pair>> cache_;
  mutable size_t cached_bytes_ = 0;
};

class SynthSource : public PairSource {
 public:
  explicit SynthSource(const SourceOptions& options) : options_(options) {}

  uint64_t count() const override { return options_.limit; }
  std::string name(uint64_t sample) const override {
    return "synth-" + std::to_string(place(sample));
  }

  // No pair comes twice unless limited, so turning it has nothing to add, except to a limited set.
  Pair crop(uint64_t sample, int size) const override {
    Pair pair = synth_pair({.width = size, .height = size, .seed = options_.seed}, place(sample));
    if (options_.limit == 0) return pair;
    Rng rng(derived(options_.seed, kPlace, sample));
    const Turn turn = draw_turn(rng, options_);
    return {cut(pair.gt, 0, 0, size, turn), cut(pair.input, 0, 0, size, turn)};
  }

 private:
  uint64_t place(uint64_t sample) const {
    if (options_.limit == 0) return sample;
    const uint64_t n = options_.limit;
    return options_.shuffle ? shuffled(sample % n, n, derived(options_.seed, kOrder, sample / n))
                            : sample % n;
  }

  SourceOptions options_;
};

}  // namespace

uint64_t shuffled(uint64_t i, uint64_t n, uint64_t seed) {
  // A Feistel network permutes 0..4^k-1; numbers that fall outside 0..n-1 are sent through again
  // until they fall inside, which keeps it a permutation.
  int half = 1;
  while (half < 32 && (uint64_t{1} << (2 * half)) < n) ++half;
  const uint64_t mask = (uint64_t{1} << half) - 1;
  do {
    uint64_t left = i >> half, right = i & mask;
    for (uint64_t round = 0; round < 6; ++round) {
      const uint64_t next = left ^ (Rng::mix(seed + Rng::mix(right + (round << 40))) & mask);
      left = right;
      right = next;
    }
    i = (left << half) | right;
  } while (i >= n);
  return i;
}

std::unique_ptr<PairSource> folder_source(std::vector<PairFiles> pairs,
                                          const SourceOptions& options,
                                          Reader read) {
  return std::make_unique<FolderSource>(std::move(pairs), options, std::move(read));
}

std::unique_ptr<PairSource> synth_source(const SourceOptions& options) {
  return std::make_unique<SynthSource>(options);
}

Pair blend_pair(const Image& structure, const Image& texture, const BlendOptions& o) {
  // Luma with the integer weights that picture libraries use for gray.
  std::vector<float> tile(static_cast<size_t>(texture.width) * texture.height);
  double mean = 0.0, square = 0.0;
  for (size_t i = 0; i < tile.size(); ++i) {
    const uint16_t* p = &texture.pixels[i * texture.channels];
    const unsigned gray = texture.channels >= 3
                              ? (p[0] * 19595u + p[1] * 38470u + p[2] * 7471u + 0x8000u) >> 16
                              : p[0];
    tile[i] = static_cast<float>(gray) / (texture.bits == 8 ? 1.0f : 257.0f);
    mean += tile[i];
    square += static_cast<double>(tile[i]) * tile[i];
  }
  mean /= static_cast<double>(tile.size());
  const double std =
      std::sqrt(std::max(0.0, square / static_cast<double>(tile.size()) - mean * mean));
  const double capped = o.max_std > 0.0f ? std::min(std, static_cast<double>(o.max_std)) : std;
  const float scale = o.strength * static_cast<float>(std > 0.0 ? capped / std : 1.0);

  std::vector<float> layer(static_cast<size_t>(structure.width) * structure.height);
  double layer_mean = 0.0;
  for (int y = 0; y < structure.height; ++y)
    for (int x = 0; x < structure.width; ++x) {
      const float v =
          tile[static_cast<size_t>(y % texture.height) * texture.width + x % texture.width];
      layer[static_cast<size_t>(y) * structure.width + x] = v;
      layer_mean += v;
    }
  layer_mean /= static_cast<double>(layer.size());
  for (float& v : layer) v = (v - static_cast<float>(layer_mean)) * scale;
  Pair pair;
  pair.gt = structure;
  pair.input = blend_layer(structure, layer);
  return pair;
}

FolderBlender::FolderBlender(const std::string& structures,
                             const std::string& textures,
                             const BlendOptions& options,
                             Reader read)
    : structures_(list_pictures(structures)),
      textures_(list_pictures(textures)),
      options_(options),
      read_(std::move(read)) {}

uint64_t FolderBlender::count() const { return structures_.size() * textures_.size(); }

Pair FolderBlender::pair(uint64_t index, std::string* name) const {
  const uint64_t n = count();
  const uint64_t k = shuffled(index % n, n, derived(options_.seed, kBlend, 0));
  const std::string& structure = structures_[k / textures_.size()];
  const std::string& texture = textures_[k % textures_.size()];
  if (name)
    *name = std::filesystem::path(structure).stem().string() + "__" +
            std::filesystem::path(texture).stem().string();
  // load_pair turns whatever the file holds into RGB of 8 bits.
  const Image gt = load_pair({"", structure, structure, false}, read_).gt;
  return blend_pair(gt, read_(texture), options_);
}

}  // namespace mgpnet
