// Pairs from folders, and the sources that training draws its crops from.
//
// A source is random access: crop(i) depends on the seed and i only, so a resumed run, another
// number of threads or a look at sample 70,000 all see the same pictures.  Order is a permutation
// that is computed, not stored.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "mgpnet/pair.h"
#include "mgpnet/synth.h"

namespace mgpnet {

/// How a picture file becomes an Image; may be called from several threads at once.
using Reader = std::function<Image(const std::string& path)>;

/// A folder of pairs that cannot be used.  what() is "WHAT: WHERE", why() the reason and what to
/// do.
class DataError : public std::runtime_error {
 public:
  DataError(const std::string& what, const std::string& where, std::string why)
      : std::runtime_error(what + ": " + where), why_(std::move(why)) {}
  const std::string& why() const { return why_; }

 private:
  std::string why_;
};

/// Where one pair lies.  Side by side: `gt` and `input` name the same file, ground truth left.
struct PairFiles {
  std::string name;  ///< the stem that both files share
  std::string gt;
  std::string input;
  bool side_by_side = false;
};

/// Which pictures of a folder that holds both training and validation pairs.
enum class Split { kTrain, kValidation };

/// The pairs of a folder in name order.  Layouts: gt + train, val_gt + val_textured,
/// sps_gt + sps_textured, nks_gt + nks_tx, gt + lq, gt + input, or pictures that hold both halves.
/// A folder with val_gt beside gt + train gives what `split` asks for.
/// errors: DataError: no folder, no layout, several layouts, files without a partner, two files of
/// one stem, no pictures
std::vector<PairFiles> find_pairs(const std::string& folder, Split split = Split::kTrain);

/// The same for two folders whose pictures match by stem.
std::vector<PairFiles> match_folders(const std::string& gt, const std::string& input);

/// The picture files (by extension) right in a folder, in name order.
/// errors: DataError if there is no such folder or it holds none
std::vector<std::string> list_pictures(const std::string& folder);

/// Both pictures as RGB of 8 bits: gray expanded, alpha dropped, 16 bits rounded.
/// errors: DataError if the sizes differ or a side-by-side picture cannot be halved; the reader's
Pair load_pair(const PairFiles& files, const Reader& read);

struct SourceOptions {
  uint64_t seed = 1;
  bool flip = true;                      ///< half of the samples mirrored, each way
  bool rotate = true;                    ///< quarter turns
  bool shuffle = true;                   ///< a new order every epoch; otherwise name order
  uint64_t limit = 0;                    ///< only the first `limit` pairs; 0 = all
  size_t cache_bytes = size_t{1} << 30;  ///< decoded pictures kept in memory
};

/// What training draws from.  crop() is const and may be called from several threads.
class PairSource {
 public:
  virtual ~PairSource() = default;

  /// Sample `sample` (0, 1, 2, ... over all epochs) as a square of `size` pixels, augmented.
  /// A picture smaller than that is continued by reflection, one of exactly that size used whole.
  virtual Pair crop(uint64_t sample, int size) const = 0;

  /// Pairs in one epoch; 0 if they never repeat.
  virtual uint64_t count() const = 0;

  /// Which pair that sample shows, for messages.
  virtual std::string name(uint64_t sample) const = 0;
};

std::unique_ptr<PairSource> folder_source(std::vector<PairFiles> pairs,
                                          const SourceOptions& options,
                                          Reader read);
/// Pairs drawn by the generator at the crop's own size; options.seed seeds it.
std::unique_ptr<PairSource> synth_source(const SourceOptions& options);

/// New pairs from a folder of structures and one of textures, by the published blending.
struct BlendOptions {
  uint64_t seed = 1;
  float strength = 1.0f;  ///< of the texture
  float max_std = 25.0f;  ///< stronger textures are scaled down to this; 0 = as they are
};

/// The gray texture repeated from the top left corner, its mean over the picture subtracted, added
/// equally to R, G, B, clipped to [0, 255] and rounded.
Pair blend_pair(const Image& structure, const Image& texture, const BlendOptions& options);

class FolderBlender {
 public:
  FolderBlender(const std::string& structures,
                const std::string& textures,
                const BlendOptions& options,
                Reader read);
  uint64_t count() const;  ///< structures times textures: from there on pairs repeat
  /// Pair i of a fixed shuffled order of all combinations; `name` receives STRUCTURE__TEXTURE.
  Pair pair(uint64_t index, std::string* name = nullptr) const;

 private:
  std::vector<std::string> structures_, textures_;
  BlendOptions options_;
  Reader read_;
};

/// A permutation of 0..n-1 without a table: place i of the order that (n, seed) stands for.
/// requires: i < n
uint64_t shuffled(uint64_t i, uint64_t n, uint64_t seed);

}  // namespace mgpnet
