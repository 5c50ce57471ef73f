// Residual channel attention, fused: x is read and y written, twice each, and nothing between them
// is as large as a picture.
//
// An image is cut into strips of rows of 4x4 tiles.  A strip goes down its rows; LN(x) and
// h = LeakyReLU(conv1(LN(x))) exist only as rings of a few rows, zeros around them, so that both
// convolutions (Winograd's, winograd.h) read them without any edge.  Rows of h lie one above the
// rows of tiles that need them: tile row q of h holds the rows 4q-1 ... 4q+2, and tile row r of z
// reads those of r and the first two of r + 1.  Thus neighboring strips share exactly one tile row
// of h; these borders are computed first and nothing twice.  A step takes one row of tiles, or
// several short ones, so that blocks are full.
//
//   borders ->  strips: z = conv2(h) into y, sums of z  ->  attention  ->  y = x + z attention
//
// What is summed where follows from the shapes alone.  The gradient's fast way is in rcab_grad.cpp.
#include "cpu/rcab_back.h"

namespace satin::cpu::SATIN_ISA {
namespace {

// --- the plain loops: row by row too ---------------------------------------------------------

/// Three rows of an image of which one below the other is asked for.
template <class T>
struct Ring {
  T* rows;
  int64_t size;  ///< of a row
  int64_t done = 0;

  T* row(int64_t i) const { return rows + i % 3 * size; }
};

/// y = row i of the convolution of h rows with w.
template <class T>
void plain_conv_row(
    const RcabProblem<T>& p, int64_t i, const Ring<T>& x, const T* w, const T* bias, T* y) {
  for (int64_t j = 0; j < p.w; ++j)
    for (int64_t co = 0; co < p.c; ++co) {
      T sum = bias[co];
      for (int64_t kh = 0; kh < 3; ++kh)
        for (int64_t kw = 0; kw < 3; ++kw) {
          const int64_t ih = i + kh - 1, iw = j + kw - 1;
          if (ih < 0 || ih >= p.h || iw < 0 || iw >= p.w) continue;
          for (int64_t ci = 0; ci < p.c; ++ci)
            sum += x.row(ih)[iw * p.c + ci] * w[((kh * 3 + kw) * p.c + ci) * p.c + co];
        }
      y[j * p.c + co] = sum;
    }
}

template <class T>
int64_t plain_scratch(const RcabProblem<T>& p) {
  return 6 * p.w * p.c + 2 * p.c + p.r;
}

template <class T>
void plain_rcab(const Call& call) {
  const RcabProblem<T> p(call);
  const int64_t row = p.w * p.c;
  T* sums = static_cast<T*>(call.scratch);
  T* attention = sums + p.c;
  for (int64_t image = 0; image < p.n; ++image) {
    const T* x = call.in[0].as<T>() + image * p.h * row;
    T* y = call.out[0].as<T>() + image * p.h * row;
    Ring<T> normal{attention + p.c, row}, hidden{normal.rows + 3 * row, row};
    const auto h_up_to = [&](int64_t end) {
      for (; hidden.done < min_of(end, p.h); ++hidden.done) {
        for (; normal.done < min_of(hidden.done + 2, p.h); ++normal.done)
          normalize(call, x + normal.done * row, normal.row(normal.done), p.w);
        T* h = hidden.row(hidden.done);
        plain_conv_row(p, hidden.done, normal, call.in[3].as<T>(), call.in[4].as<T>(), h);
        for (int64_t i = 0; i < row; ++i) h[i] = h[i] > 0 ? h[i] : p.slope * h[i];
      }
    };
    for (int64_t i = 0; i < p.c; ++i) sums[i] = 0;
    for (int64_t i = 0; i < p.h; ++i) {
      h_up_to(i + 2);
      plain_conv_row(p, i, hidden, call.in[5].as<T>(), call.in[6].as<T>(), y + i * row);
      for (int64_t j = 0; j < row; ++j) sums[j % p.c] += y[i * row + j];
    }
    attend(call, sums, attention + p.c + 6 * row, attention);
    for (int64_t i = 0; i < p.h * row; ++i) y[i] = x[i] + y[i] * attention[i % p.c];
  }
}

/// f(pixel, its neighbor, the tap of a 3x3 kernel that joins them) for all pairs inside an image.
template <class T, class F>
void every_pair(const RcabProblem<T>& p, F f) {
  for (int64_t i = 0; i < p.h; ++i)
    for (int64_t j = 0; j < p.w; ++j)
      for (int64_t tap = 0; tap < 9; ++tap) {
        const int64_t ih = i + tap / 3 - 1, iw = j + tap % 3 - 1;
        if (ih >= 0 && ih < p.h && iw >= 0 && iw < p.w) f(i * p.w + j, ih * p.w + iw, tap);
      }
}

template <class T>
int64_t plain_grad_scratch(const RcabProblem<T>& p) {
  return p.h * p.w * p.c + 5 * p.c + p.r + normalize_back_scratch(p, p.h * p.w) + 9 * p.c * p.c;
}

// dx holds n at first, then dn; q holds conv1(n), then its cotangent.
template <class T>
void plain_rcab_grad(const Call& call) {
  const RcabProblem<T> p(call);
  const int64_t c = p.c, pixels = p.h * p.w, size = pixels * c;
  const Flat<T> d(p, call.out[1].as<T>());
  const T *w1 = call.in[3].as<T>(), *b1 = call.in[4].as<T>();
  const T *w2 = call.in[5].as<T>(), *b2 = call.in[6].as<T>();
  T* q = static_cast<T*>(call.scratch);
  T* vectors = q + size;
  const Attention<T> t{vectors,         vectors + c,     vectors + 2 * c,
                       vectors + 5 * c, vectors + 3 * c, vectors + 4 * c};
  T* more = vectors + 5 * c + p.r;
  const auto h_of = [&](T v) { return v > 0 ? v : p.slope * v; };
  zero(d.gamma, d.end);
  for (int64_t image = 0; image < p.n; ++image) {
    const T *x = call.in[0].as<T>() + image * size, *dy = call.in[11].as<T>() + image * size;
    T* dx = call.out[0].as<T>() + image * size;
    normalize(call, x, dx, pixels);
    for (int64_t i = 0; i < size; ++i) q[i] = b1[i % c];
    every_pair(p, [&](int64_t to, int64_t from, int64_t tap) {
      for (int64_t co = 0; co < c; ++co)
        for (int64_t ci = 0; ci < c; ++ci)
          q[to * c + co] += dx[from * c + ci] * w1[(tap * c + ci) * c + co];
    });
    zero(t.z, t.dy + c);
    for (int64_t i = 0; i < size; ++i) {
      t.z[i % c] += b2[i % c];
      t.z_dy[i % c] += b2[i % c] * dy[i];
      t.dy[i % c] += dy[i];
    }
    every_pair(p, [&](int64_t to, int64_t from, int64_t tap) {
      for (int64_t co = 0; co < c; ++co)
        for (int64_t ci = 0; ci < c; ++ci) {
          const T z = h_of(q[from * c + ci]) * w2[(tap * c + ci) * c + co];
          t.z[co] += z;
          t.z_dy[co] += z * dy[to * c + co];
        }
    });
    attend_back(call, t, d);
    const auto dz = [&](int64_t i) { return dy[i] * t.a[i % c] + t.mean_grad[i % c]; };
    every_pair(p, [&](int64_t to, int64_t from, int64_t tap) {
      for (int64_t co = 0; co < c; ++co)
        for (int64_t ci = 0; ci < c; ++ci)
          d.w2[(tap * c + ci) * c + co] += h_of(q[from * c + ci]) * dz(to * c + co);
    });
    for (int64_t pixel = 0; pixel < pixels; ++pixel)
      for (int64_t ci = 0; ci < c; ++ci) {
        T dh = 0;
        for (int64_t tap = 0; tap < 9; ++tap) {
          const int64_t i = pixel / p.w - tap / 3 + 1, j = pixel % p.w - tap % 3 + 1;
          if (i < 0 || i >= p.h || j < 0 || j >= p.w) continue;
          for (int64_t co = 0; co < c; ++co)
            dh += w2[(tap * c + ci) * c + co] * dz((i * p.w + j) * c + co);
        }
        T& v = q[pixel * c + ci];
        v = v > 0 ? dh : p.slope * dh;
        d.b1[ci] += v;
      }
    every_pair(p, [&](int64_t to, int64_t from, int64_t tap) {
      for (int64_t co = 0; co < c; ++co)
        for (int64_t ci = 0; ci < c; ++ci)
          d.w1[(tap * c + ci) * c + co] += dx[from * c + ci] * q[to * c + co];
    });
    zero(dx, dx + size);
    every_pair(p, [&](int64_t to, int64_t from, int64_t tap) {
      for (int64_t co = 0; co < c; ++co)
        for (int64_t ci = 0; ci < c; ++ci)
          dx[from * c + ci] += q[to * c + co] * w1[(tap * c + ci) * c + co];
    });
    for (int64_t i = 0; i < size; ++i) q[i] = dx[i];
    normalize_back(call, x, q, dx, pixels, d.gamma, more);
    for (int64_t i = 0; i < size; ++i) dx[i] += dy[i];
  }
}

// --- the fast way ------------------------------------------------------------------------------

/// What the shapes decide.
template <class T>
struct Layout : RcabStrips<T> {
  using RcabStrips<T>::kWorkers, RcabStrips<T>::size, RcabStrips<T>::tile_rows,
      RcabStrips<T>::tile_cols, RcabStrips<T>::strips, RcabStrips<T>::depth, RcabStrips<T>::workers;

  explicit Layout(const Call& call) : RcabStrips<T>(call) {}
  int64_t first_tile_row(int64_t strip) const { return tile_rows * strip / strips; }

  // Rows with a pixel of zeros before and at least one behind; pixels of h are whole vectors.
  int64_t h_pixel() const { return whole_vectors<T>(this->c); }
  int64_t ring_row() const {
    return Winograd<T>::odd_lines((tile_cols * 4 + 2) * h_pixel() + kLanes<T>, 1);
  }
  /// Rows in the rings: h comes depth tile rows at a time, and depth + 1 are read.
  int64_t normal_rows() const { return 4 * depth + 4; }
  int64_t hidden_rows() const { return 4 * depth + 4; }
  int64_t slot() const {
    return (normal_rows() + hidden_rows()) * ring_row() + vector() + size.block_size();
  }

  // Scratch: weights twice; biases, sums of every strip in f64, attention of every image (before it
  // what is hidden inside); borders; slots.
  int64_t weights() const { return size.weights_size(); }
  int64_t vector() const { return max_of(size.out_row(), Winograd<T>::odd_lines(this->r)); }
  int64_t vectors() const { return 3 + this->n * (2 * strips + 1); }
  int64_t borders() const { return this->n * (strips - 1) * 4 * ring_row(); }
  int64_t scratch(bool packed) const {
    return (packed ? 0 : 2 * weights()) + vectors() * vector() + borders() + workers() * slot();
  }
};

/// Both convolutions', one behind the other.
template <class T>
void pack_weights(const Call& call, int64_t c, const T* w1, const T* w2, T* to) {
  const Winograd<T> size = Winograd<T>::of(c, c);
  const Weights at{0, 3 * c * c, c * c, c, 1, 0};
  winograd_weights(call, size, w1, at, to);
  winograd_weights(call, size, w2, at, to + size.weights_size());
}

template <class T>
class Fused {
 public:
  explicit Fused(const Call& call)
      : p_(call),
        call_(call),
        x_(call.in[0].as<T>()),
        y_(call.out[0].as<T>()),
        w1_(call.packed ? call.packed->as<T>() : static_cast<T*>(call.scratch)),
        w2_(w1_ + p_.weights()),
        b1_(static_cast<T*>(call.scratch) + (call.packed ? 0 : 2 * p_.weights())),
        b2_(b1_ + p_.vector()),
        sums_(reinterpret_cast<double*>(b2_ + p_.vector())),
        hidden_(b2_ + (1 + 2 * p_.n * p_.strips) * p_.vector()),
        attention_(hidden_ + p_.vector()),
        borders_(attention_ + p_.n * p_.vector()),
        slots_(borders_ + p_.borders()) {}

  void run() {
    const int64_t c = p_.c, n = p_.n, per_image = p_.strips;
    if (n * p_.h * p_.w * c == 0) return;
    if (!call_.packed)
      pack_weights(call_, c, call_.in[3].template as<T>(), call_.in[5].template as<T>(), w1_);
    const int cols = static_cast<int>(c), width = whole_vectors<T>(c);
    pack_panel(b1_, call_.in[4].template as<T>(), 0, 1, 1, cols, width);
    pack_panel(b2_, call_.in[6].template as<T>(), 0, 1, 1, cols, width);

    const int64_t inner = per_image - 1;
    parallel_workers(call_, p_.workers(), n * inner, [&](int64_t worker, int64_t i) {
      Strip s = strip_of(i / inner, i % inner + 1, worker);
      s.normal_done = 4 * s.begin - 2;
      hidden_tiles(s, s.begin, s.begin + 1);
    });
    parallel_workers(call_, p_.workers(), n * per_image, [&](int64_t worker, int64_t i) {
      run_strip(strip_of(i / per_image, i % per_image, worker), sums_ + i * p_.vector());
    });
    for (int64_t image = 0; image < n; ++image) {
      double* sums = sums_ + image * per_image * p_.vector();
      for (int64_t strip = 1; strip < per_image; ++strip)
        for (int64_t i = 0; i < c; ++i) sums[i] += sums[strip * p_.vector() + i];
      attend(call_, sums, hidden_, attention_ + image * p_.vector());
    }
    const int64_t pixels = max_of(1, 32768 / c), all = p_.h * p_.w;
    const int64_t pieces = ceil_div(all, pixels);
    parallel_for(call_, n * pieces, [&](int64_t i) {
      const int64_t begin = i % pieces * pixels, end = min_of(all, begin + pixels);
      const int64_t first = (i / pieces * all + begin) * c;
      add_scaled(y_ + first, x_ + first, end - begin, c, attention_ + i / pieces * p_.vector());
    });
  }

 private:
  /// Tile rows [begin, end) of an image, and the memory to compute them in.
  struct Strip {
    int64_t image, strip, begin, end;
    T *normal, *hidden, *row_sums, *block;
    int64_t normal_done;  ///< the first row of LN(x) that the ring does not hold yet
  };

  Strip strip_of(int64_t image, int64_t strip, int64_t worker) const {
    T* slot = slots_ + worker * p_.slot();
    T* hidden = slot + p_.normal_rows() * p_.ring_row();
    T* row_sums = hidden + p_.hidden_rows() * p_.ring_row();
    return {image,
            strip,
            p_.first_tile_row(strip),
            p_.first_tile_row(strip + 1),
            slot,
            hidden,
            row_sums,
            row_sums + p_.vector(),
            0};
  }

  T* normal_row(const Strip& s, int64_t i) const {
    return s.normal + (i + p_.normal_rows()) % p_.normal_rows() * p_.ring_row();
  }
  /// Row r of tile row q of h: where strips meet, on the border.
  T* hidden_row(const Strip& s, int64_t q, int64_t r) const {
    const int64_t at = q == s.begin ? s.strip : q == s.end ? s.strip + 1 : 0;
    if (at > 0 && at < p_.strips)
      return borders_ + ((s.image * (p_.strips - 1) + at - 1) * 4 + r) * p_.ring_row();
    return s.hidden + (q * 4 + r) % p_.hidden_rows() * p_.ring_row();
  }

  /// LN(x) up to row `end`.
  void normalize_up_to(Strip& s, int64_t end) const {
    const int64_t row = p_.w * p_.c;
    for (int64_t& i = s.normal_done; i < end; ++i) {
      T* to = normal_row(s, i);
      if (i < 0 || i >= p_.h) {
        zero(to, to + p_.ring_row());
        continue;
      }
      zero(to, to + p_.c);
      normalize(call_, x_ + (s.image * p_.h + i) * row, to + p_.c, p_.w);
      zero(to + p_.c + row, to + p_.ring_row());
    }
  }

  /// Rows of x or y from row i on, as far as there are any.
  Coming<T> rows_of(const T* picture, const Strip& s, int64_t i, int64_t count) const {
    const int64_t row = p_.w * p_.c;
    return {picture + (s.image * p_.h + i) * row, max_of(0, min_of(count, p_.h - i)) * row};
  }

  /// `count` tiles: in(i, t) puts tile i into the block as tile t, out(i, t) takes it out.
  template <class In, class Out>
  void tiles(const Strip& s, const T* weights, int64_t count, const Coming<T>& next, In in, Out out)
      const {
    for_even(0, count, p_.size.tiles, [&](int64_t begin, int64_t n) {
      for (int64_t t = 0; t < n; ++t) in(begin + t, t);
      for (int64_t k = 0; k < p_.size.kPoints; ++k) {
        Ahead ahead;
        next.part(begin, n, count).part(k, 1, p_.size.kPoints).add(ahead);
        if (p_.size.many() && k + 1 < p_.size.kPoints)
          ahead.add(weights + (k + 1) * p_.size.point(), p_.size.point());
        winograd_product(p_.size, s.block, weights, k, n, ahead);
      }
      for (int64_t t = 0; t < n; ++t) out(begin + t, t);
    });
  }

  /// Tile rows [begin, end) of h.
  void hidden_tiles(Strip& s, int64_t begin, int64_t end) const {
    const int64_t pixel = p_.h_pixel(), cols = p_.tile_cols;
    normalize_up_to(s, 4 * end);
    tiles(
        s, w1_, (end - begin) * cols, rows_of(x_, s, 4 * end, 4 * p_.depth),
        [&](int64_t i, int64_t t) {
          const T* from[6];
          for (int r = 0; r < 6; ++r)
            from[r] = normal_row(s, 4 * (begin + i / cols) - 2 + r) + 4 * (i % cols) * p_.c;
          winograd_in(p_.size, s.block, t, from, p_.c);
        },
        [&](int64_t i, int64_t t) {
          T* to[4];
          for (int r = 0; r < 4; ++r)
            to[r] = hidden_row(s, begin + i / cols, r) + (4 * (i % cols) + 1) * pixel;
          winograd_out(p_.size, s.block, t, to, pixel, {.bias = b1_, .slope = p_.slope});
        });
    for (int64_t i = 4 * begin - 1; i < 4 * end - 1; ++i) {
      T* row = hidden_row(s, (i + 1) / 4, (i + 1) % 4);
      const bool inside = i >= 0 && i < p_.h;
      zero(row, row + pixel);
      zero(row + (inside ? (p_.w + 1) * pixel : 0), row + p_.ring_row());
    }
  }

  /// z of a strip into y; sums: of z, row of tiles by row of tiles.
  void run_strip(Strip s, double* sums) const {
    const int64_t pixel = p_.h_pixel(), cols = p_.tile_cols;
    zero(sums, sums + p_.vector());
    int64_t q = s.begin + (s.strip > 0);  // the next tile row of h
    const int64_t own_end = s.end + (s.strip + 1 == p_.strips);
    s.normal_done = 4 * q - 2;
    for (int64_t row = s.begin; row < s.end; row += p_.depth) {
      const int64_t rows = min_of(p_.depth, s.end - row), end = min_of(own_end, row + rows + 1);
      for (; q < end; q += min_of(p_.depth, end - q)) hidden_tiles(s, q, min_of(end, q + p_.depth));
      tiles(
          s, w2_, rows * cols, rows_of(y_, s, 4 * row, 4 * rows),
          [&](int64_t i, int64_t t) {
            const T* from[6];
            for (int r = 0; r < 6; ++r)
              from[r] = hidden_row(s, row + i / cols + r / 4, r % 4) + 4 * (i % cols) * pixel;
            winograd_in(p_.size, s.block, t, from, pixel);
          },
          [&](int64_t i, int64_t t) {
            if (i % cols == 0) zero(s.row_sums, s.row_sums + p_.vector());
            tile_out(s, t, 4 * (row + i / cols), 4 * (i % cols));
            if (i % cols == cols - 1)
              for (int64_t k = 0; k < p_.c; ++k) sums[k] += static_cast<double>(s.row_sums[k]);
          });
    }
  }

  /// A tile of z into y, by way of a copy where it does not fit.
  void tile_out(const Strip& s, int64_t t, int64_t row, int64_t col) const {
    const int64_t c = p_.c, high = min_of(4, p_.h - row), wide = min_of(4, p_.w - col);
    T* to = y_ + ((s.image * p_.h + row) * p_.w + col) * c;
    T* out[4];
    if (c % kLanes<T> == 0 && high == 4 && wide == 4) {
      for (int r = 0; r < 4; ++r) out[r] = to + r * p_.w * c;
      return winograd_out(p_.size, s.block, t, out, c, {.bias = b2_, .sums = s.row_sums});
    }
    const int64_t pixel = p_.size.out_row();
    for (int r = 0; r < 4; ++r) out[r] = p_.size.patch(s.block) + r * 4 * pixel;
    winograd_out(p_.size, s.block, t, out, pixel, {.bias = b2_});
    for (int64_t r = 0; r < high; ++r)
      for (int64_t i = 0; i < wide; ++i)
        for (int64_t k = 0; k < c; ++k) {
          const T z = out[r][i * pixel + k];
          to[(r * p_.w + i) * c + k] = z;
          s.row_sums[k] += z;
        }
  }

  const Layout<T> p_;
  const Call& call_;
  const T* x_;
  T* y_;
  T *w1_, *w2_, *b1_, *b2_;
  double* sums_;
  T *hidden_, *attention_, *borders_, *slots_;
};

}  // namespace

void rcab(const Call& call) {
  with_type(call.out[0].dtype, [&](auto t) {
    using T = decltype(t);
    wants_plain(call) ? plain_rcab<T>(call) : Fused<T>(call).run();
  });
}

int64_t rcab_scratch(const Call& call) {
  int64_t bytes = 0;
  with_type(call.out[0].dtype, [&](auto t) {
    using T = decltype(t);
    bytes = max_of(Layout<T>(call).scratch(call.packed), plain_scratch(RcabProblem<T>(call))) *
            static_cast<int64_t>(sizeof(T));
  });
  return bytes;
}

Packing rcab_packing(const Call& call) {
  Packing packing{};
  with_type(call.out[0].dtype, [&](auto t) {
    packing = {0, 2 * Layout<decltype(t)>(call).weights(), 1u << 3 | 1u << 5};
  });
  return packing;
}

void rcab_pack(const Call& call) {
  with_type(call.out[0].dtype, [&](auto t) {
    using T = decltype(t);
    pack_weights(call, call.in[0].shape[3], call.in[0].as<T>(), call.in[1].as<T>(),
                 call.out[0].as<T>());
  });
}

void rcab_grad(const Call& call) {
  with_type(call.out[0].dtype, [&](auto t) {
    using T = decltype(t);
    const bool plain = wants_plain(call) || call.as<RcabAttrs>().slope < 0;
    plain ? plain_rcab_grad<T>(call) : fast_rcab_grad<T>(call);
  });
}

int64_t rcab_grad_scratch(const Call& call) {
  int64_t bytes = 0;
  with_type(call.out[0].dtype, [&](auto t) {
    using T = decltype(t);
    bytes = max_of(fast_rcab_grad_scratch<T>(call), plain_grad_scratch(RcabProblem<T>(call))) *
            static_cast<int64_t>(sizeof(T));
  });
  return bytes;
}

}  // namespace satin::cpu::SATIN_ISA
