// Fields on a torus: noise of chosen scale, and the few filters that give it character.
#include "mgpnet/synth_field.h"

#include <array>

namespace mgpnet::synth {

float Field::sample(float x, float y) const {
  const float fx = std::floor(x), fy = std::floor(y);
  const float tx = x - fx, ty = y - fy;
  int x0 = static_cast<int>(fx), y0 = static_cast<int>(fy);
  if (static_cast<unsigned>(x0) >= static_cast<unsigned>(w)) x0 = wrap(x0, w);
  if (static_cast<unsigned>(y0) >= static_cast<unsigned>(h)) y0 = wrap(y0, h);
  const int x1 = x0 + 1 == w ? 0 : x0 + 1, y1 = y0 + 1 == h ? 0 : y0 + 1;
  const float* a = &v[static_cast<size_t>(y0) * w];
  const float* b = &v[static_cast<size_t>(y1) * w];
  return lerp(lerp(a[x0], a[x1], tx), lerp(b[x0], b[x1], tx), ty);
}

Moments moments(const Field& f) {
  double sum = 0.0;
  for (float x : f.v) sum += x;
  const double mean = sum / static_cast<double>(f.v.size());
  double square = 0.0;
  for (float x : f.v) square += (x - mean) * (x - mean);
  return {static_cast<float>(mean),
          static_cast<float>(std::sqrt(square / static_cast<double>(f.v.size())))};
}

void normalize(Field& f) {
  const auto [mean, std] = moments(f);
  const float k = std > 1e-6f ? 1.0f / std : 0.0f;
  for (float& x : f.v) x = (x - mean) * k;
}

Field white_noise(Rng& rng, int w, int h) {
  Field f(w, h);
  for (float& x : f.v) x = rng.normal();
  return f;
}

namespace {

struct Taps {
  std::array<int, 4> index;
  std::array<float, 4> weight;
};

// For every output place, the four lattice points under its cubic B-spline.
std::vector<Taps> spline_taps(int n, int lattice) {
  std::vector<Taps> taps(n);
  for (int i = 0; i < n; ++i) {
    const float u = static_cast<float>(i) * static_cast<float>(lattice) / static_cast<float>(n);
    const float whole = std::floor(u), t = u - whole, s = 1.0f - t;
    for (int k = 0; k < 4; ++k) taps[i].index[k] = wrap(static_cast<int>(whole) + k - 1, lattice);
    taps[i].weight = {s * s * s / 6.0f, (4.0f - 6.0f * t * t + 3.0f * t * t * t) / 6.0f,
                      (4.0f - 6.0f * s * s + 3.0f * s * s * s) / 6.0f, t * t * t / 6.0f};
  }
  return taps;
}

}  // namespace

Field lattice_noise(Rng& rng, int w, int h, float cx, float cy) {
  const int nx = std::clamp(nearest(static_cast<float>(w) / cx), 1, w);
  const int ny = std::clamp(nearest(static_cast<float>(h) / cy), 1, h);
  if (nx == w && ny == h) return white_noise(rng, w, h);
  const Field lattice = white_noise(rng, nx, ny);
  Field wide(w, ny), f(w, h);
  if (nx == w) {
    wide = lattice;
  } else {
    const std::vector<Taps> taps = spline_taps(w, nx);
    for (int y = 0; y < ny; ++y)
      for (int x = 0; x < w; ++x) {
        const Taps& t = taps[x];
        float sum = 0.0f;
        for (int k = 0; k < 4; ++k) sum += t.weight[k] * lattice.at(t.index[k], y);
        wide.at(x, y) = sum;
      }
  }
  if (ny == h) return wide;
  const std::vector<Taps> taps = spline_taps(h, ny);
  for (int y = 0; y < h; ++y) {
    const Taps& t = taps[y];
    float* out = &f.at(0, y);
    for (int k = 0; k < 4; ++k) {
      const float* row = &wide.v[static_cast<size_t>(t.index[k]) * w];
      const float weight = t.weight[k];
      for (int x = 0; x < w; ++x) out[x] += weight * row[x];
    }
  }
  return f;
}

Field fractal_noise(Rng& rng, int w, int h, const FractalOptions& o) {
  Field f(w, h);
  const float widest = static_cast<float>(std::max(w, h)) * 0.5f;
  const float last = std::min(o.coarsest, std::max(widest, o.finest));
  const float root = std::sqrt(o.stretch);
  float size = o.finest;
  while (size <= last * 1.01f) {
    Field octave = lattice_noise(rng, w, h, size * root, size / root);
    normalize(octave);
    if (o.ridged) {
      for (float& x : octave.v) x = 0.8f - std::fabs(x);
    }
    add_scaled(f, octave, power(size, o.slope));
    size *= 2.0f;
  }
  normalize(f);
  return f;
}

void add_scaled(Field& f, const Field& g, float k) {
  for (size_t i = 0; i < f.v.size(); ++i) f.v[i] += k * g.v[i];
}

void multiply_gain(Field& f, const Field& g, float k) {
  for (size_t i = 0; i < f.v.size(); ++i) f.v[i] *= std::max(0.0f, 1.0f + k * g.v[i]);
}

namespace {

// Running mean of 2 r + 1 values around a ring.  The sum is kept in fixed point so that it neither
// drifts nor depends on where the ring was entered.
void box_ring(const float* in, float* out, int n, int stride, int r) {
  constexpr float kUnit = 65536.0f;
  int64_t sum = 0;
  const auto fixed = [&](int i) {
    return static_cast<int64_t>(in[static_cast<size_t>(wrap(i, n)) * stride] * kUnit);
  };
  for (int i = -r; i <= r; ++i) sum += fixed(i);
  const float k = 1.0f / (kUnit * static_cast<float>(2 * r + 1));
  for (int i = 0; i < n; ++i) {
    out[static_cast<size_t>(i) * stride] = static_cast<float>(sum) * k;
    sum += fixed(i + r + 1) - fixed(i - r);
  }
}

}  // namespace

Field blurred(const Field& f, int radius) {
  if (radius <= 0) return f;
  Field a = f, b(f.w, f.h);
  for (int pass = 0; pass < 2; ++pass) {
    for (int y = 0; y < f.h; ++y)
      box_ring(&a.v[static_cast<size_t>(y) * f.w], &b.v[static_cast<size_t>(y) * f.w], f.w, 1,
               radius);
    for (int x = 0; x < f.w; ++x) box_ring(&b.v[x], &a.v[x], f.h, f.w, radius);
  }
  return a;
}

Field warped(const Field& f, const Field& dx, const Field& dy, float amount) {
  Field out(f.w, f.h);
  for (int y = 0; y < f.h; ++y)
    for (int x = 0; x < f.w; ++x)
      out.at(x, y) = f.sample(static_cast<float>(x) + amount * dx.at(x, y),
                              static_cast<float>(y) + amount * dy.at(x, y));
  return out;
}

Field embossed(const Field& height, float turns, float step) {
  Field out(height.w, height.h);
  const float dx = cos_turns(turns) * step, dy = sin_turns(turns) * step;
  for (int y = 0; y < height.h; ++y)
    for (int x = 0; x < height.w; ++x) {
      const float fx = static_cast<float>(x), fy = static_cast<float>(y);
      out.at(x, y) = height.sample(fx + dx, fy + dy) - height.sample(fx - dx, fy - dy);
    }
  return out;
}

Field streaked(const Field& f, const Field& angle, float length) {
  Field out(f.w, f.h);
  const int half = std::max(1, static_cast<int>(length * 0.5f));
  for (int y = 0; y < f.h; ++y)
    for (int x = 0; x < f.w; ++x) {
      const float dx = cos_turns(angle.at(x, y)), dy = sin_turns(angle.at(x, y));
      float sum = 0.0f;
      for (int k = -half; k <= half; ++k)
        sum += f.sample(static_cast<float>(x) + dx * static_cast<float>(k),
                        static_cast<float>(y) + dy * static_cast<float>(k));
      out.at(x, y) = sum;
    }
  normalize(out);
  return out;
}

}  // namespace mgpnet::synth
