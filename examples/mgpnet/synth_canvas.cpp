// Coverage by signed area: every edge adds, to the pixels it crosses, the area to its right; a
// running sum along the row then is the winding-weighted coverage of each pixel.
#include "mgpnet/synth_canvas.h"

namespace mgpnet::synth {

Color hsv(float hue, float saturation, float value) {
  const auto channel = [&](float n) {
    float k = n + hue * 6.0f;
    k -= 6.0f * std::floor(k / 6.0f);
    return 255.0f * value * (1.0f - saturation * std::clamp(std::min(k, 4.0f - k), 0.0f, 1.0f));
  };
  return {channel(5.0f), channel(3.0f), channel(1.0f)};
}

Canvas::Canvas(int width, int height)
    : w_(width),
      h_(height),
      rgb_(static_cast<size_t>(width) * height * 3),
      cover_(static_cast<size_t>(width + 2) * height) {}

void Canvas::add_edge(Vec a, Vec b) {
  if (a.y == b.y) return;
  const float direction = a.y < b.y ? 1.0f : -1.0f;
  if (a.y > b.y) std::swap(a, b);
  const float slope = (b.x - a.x) / (b.y - a.y), right = static_cast<float>(w_);
  const float y_end = std::min(b.y, static_cast<float>(bottom_));
  float y = std::max(a.y, static_cast<float>(top_));
  float x = a.x + (y - a.y) * slope;
  for (int row = static_cast<int>(y); row < bottom_ && y < y_end; ++row) {
    float* line = &cover_[static_cast<size_t>(row) * (w_ + 2)];
    const float next_y = std::min(static_cast<float>(row + 1), y_end);
    const float dy = next_y - y, next_x = x + slope * dy;
    const float d = dy * direction;
    const float lo = std::clamp(std::min(x, next_x), 0.0f, right);
    const float hi = std::clamp(std::max(x, next_x), 0.0f, right);
    const int first = static_cast<int>(lo), last = static_cast<int>(std::ceil(hi));
    if (last <= first + 1) {
      const float middle = 0.5f * (lo + hi) - static_cast<float>(first);
      line[first] += d * (1.0f - middle);
      line[first + 1] += d * middle;
    } else {
      const float s = 1.0f / (hi - lo), x0 = lo - static_cast<float>(first);
      const float a0 = 0.5f * s * (1.0f - x0) * (1.0f - x0);
      const float x1 = hi - static_cast<float>(last) + 1.0f, am = 0.5f * s * x1 * x1;
      line[first] += d * a0;
      if (last == first + 2) {
        line[first + 1] += d * (1.0f - a0 - am);
      } else {
        const float a1 = s * (1.5f - x0);
        line[first + 1] += d * (a1 - a0);
        for (int i = first + 2; i < last - 1; ++i) line[i] += d * s;
        const float a2 = a1 + static_cast<float>(last - first - 3) * s;
        line[last - 1] += d * (1.0f - a2 - am);
      }
      line[last] += d * am;
    }
    y = next_y;
    x = next_x;
  }
}

namespace {

// Position along a paint, 0 at `from` and 1 at `to`.
struct Course {
  const Paint& paint;
  float k;
  explicit Course(const Paint& p) : paint(p) {
    const float square = p.axis.x * p.axis.x + p.axis.y * p.axis.y;
    k = square > 1e-9f ? 1.0f / square : 0.0f;
  }
  Color at(float x, float y) const {
    if (paint.kind == Paint::kFlat) return paint.from;
    const float dx = x - paint.origin.x, dy = y - paint.origin.y;
    float t = paint.kind == Paint::kLinear ? (dx * paint.axis.x + dy * paint.axis.y) * k
                                           : std::sqrt((dx * dx + dy * dy) * k);
    t = std::clamp(t, 0.0f, 1.0f);
    if (paint.bend != 1.0f) t = power(t, paint.bend);
    return mix(paint.from, paint.to, t);
  }
};

void blend(float* p, Color c, float alpha) {
  p[0] += (c.r - p[0]) * alpha;
  p[1] += (c.g - p[1]) * alpha;
  p[2] += (c.b - p[2]) * alpha;
}

}  // namespace

void Canvas::fill_all(const Paint& paint) {
  const Course course(paint);
  for (int y = 0; y < h_; ++y)
    for (int x = 0; x < w_; ++x)
      blend(pixel(x, y), course.at(static_cast<float>(x) + 0.5f, static_cast<float>(y) + 0.5f),
            paint.alpha);
}

void Canvas::fill(const Shape& shape, const Paint& paint) {
  float x_min = 1e9f, x_max = -1e9f, y_min = 1e9f, y_max = -1e9f;
  for (const Path& path : shape)
    for (Vec p : path) {
      x_min = std::min(x_min, p.x);
      x_max = std::max(x_max, p.x);
      y_min = std::min(y_min, p.y);
      y_max = std::max(y_max, p.y);
    }
  if (x_max <= 0.0f || y_max <= 0.0f || x_min >= static_cast<float>(w_) ||
      y_min >= static_cast<float>(h_))
    return;
  top_ = std::max(0, static_cast<int>(std::floor(y_min)));
  bottom_ = std::min(static_cast<float>(h_), std::ceil(y_max)) > 0
                ? static_cast<int>(std::min(static_cast<float>(h_), std::ceil(y_max)))
                : 0;
  const int left = std::max(0, static_cast<int>(std::floor(x_min)));
  const int right = static_cast<int>(std::min(static_cast<float>(w_), std::ceil(x_max)));
  for (int y = top_; y < bottom_; ++y) {
    float* line = &cover_[static_cast<size_t>(y) * (w_ + 2)];
    std::fill(line + left, line + std::min(right + 2, w_ + 2), 0.0f);
  }
  for (const Path& path : shape)
    for (size_t i = 0; i < path.size(); ++i)
      add_edge(path[i], path[i + 1 == path.size() ? 0 : i + 1]);
  const Course course(paint);
  for (int y = top_; y < bottom_; ++y) {
    const float* line = &cover_[static_cast<size_t>(y) * (w_ + 2)];
    float sum = 0.0f;
    for (int x = left; x < right; ++x) {
      sum += line[x];
      const float alpha = std::min(1.0f, std::fabs(sum)) * paint.alpha;
      if (alpha > 0.002f)
        blend(pixel(x, y), course.at(static_cast<float>(x) + 0.5f, static_cast<float>(y) + 0.5f),
              alpha);
    }
  }
}

void Canvas::blur(int radius) {
  if (radius <= 0) return;
  std::vector<float> other(rgb_.size());
  const auto pass = [&](const std::vector<float>& in, std::vector<float>& out, int n, int lines,
                        int step, int jump) {
    const float k = 1.0f / static_cast<float>(2 * radius + 1);
    for (int line = 0; line < lines; ++line)
      for (int c = 0; c < 3; ++c) {
        const size_t base = static_cast<size_t>(line) * jump + c;
        const auto at = [&](int i) {
          return in[base + static_cast<size_t>(std::clamp(i, 0, n - 1)) * step];
        };
        float sum = 0.0f;
        for (int i = -radius; i <= radius; ++i) sum += at(i);
        for (int i = 0; i < n; ++i) {
          out[base + static_cast<size_t>(i) * step] = sum * k;
          sum += at(i + radius + 1) - at(i - radius);
        }
      }
  };
  for (int twice = 0; twice < 2; ++twice) {
    pass(rgb_, other, w_, h_, 3, w_ * 3);
    pass(other, rgb_, h_, w_, w_ * 3, 3);
  }
}

namespace {

// Mean of floor() over a window of `width` around t: a staircase whose risers are one pixel wide.
float soft_floor(float t, float width) {
  const auto integral = [](float x) {
    const float n = std::floor(x);
    return n * (x - 0.5f * (n + 1.0f));
  };
  if (width < 1e-3f) return std::floor(t);
  return (integral(t + 0.5f * width) - integral(t - 0.5f * width)) / width;
}

}  // namespace

void Canvas::posterize(float luma_step, float chroma_step) {
  const size_t n = static_cast<size_t>(w_) * h_;
  std::vector<float> plane(n), out(n * 3);
  const float rows[3][3] = {
      {0.299f, 0.587f, 0.114f}, {0.5f, -0.419f, -0.081f}, {-0.169f, -0.331f, 0.5f}};
  for (int c = 0; c < 3; ++c) {
    const float step = c == 0 ? luma_step : chroma_step;
    for (size_t i = 0; i < n; ++i)
      plane[i] =
          (rows[c][0] * rgb_[3 * i] + rows[c][1] * rgb_[3 * i + 1] + rows[c][2] * rgb_[3 * i + 2]) /
              step +
          0.37f;
    for (int y = 0; y < h_; ++y)
      for (int x = 0; x < w_; ++x) {
        const auto at = [&](int i, int j) {
          return plane[static_cast<size_t>(std::clamp(j, 0, h_ - 1)) * w_ +
                       std::clamp(i, 0, w_ - 1)];
        };
        const float gx = 0.5f * (at(x + 1, y) - at(x - 1, y)),
                    gy = 0.5f * (at(x, y + 1) - at(x, y - 1));
        const float slope = std::fabs(gx) + std::fabs(gy);
        out[(static_cast<size_t>(y) * w_ + x) * 3 + c] =
            (soft_floor(at(x, y), slope) + 0.5f - 0.37f) * step;
      }
  }
  for (size_t i = 0; i < n; ++i) {
    const float y = out[3 * i], v = out[3 * i + 1], u = out[3 * i + 2];
    rgb_[3 * i] = y + 1.402f * v;
    rgb_[3 * i + 1] = y - 0.714f * v - 0.344f * u;
    rgb_[3 * i + 2] = y + 1.772f * u;
  }
}

Image Canvas::image() const {
  Image out;
  out.width = w_;
  out.height = h_;
  out.pixels.resize(rgb_.size());
  for (size_t i = 0; i < rgb_.size(); ++i)
    out.pixels[i] = static_cast<uint16_t>(nearest(std::clamp(rgb_[i], 0.0f, 255.0f)));
  return out;
}

Path ellipse(Vec center, float rx, float ry, float turns) {
  const int n = std::clamp(static_cast<int>(6.0f + 2.5f * std::sqrt(std::max(rx, ry))), 8, 64);
  const float c = cos_turns(turns), s = sin_turns(turns);
  Path path(n);
  for (int i = 0; i < n; ++i) {
    const float t = static_cast<float>(i) / static_cast<float>(n);
    const float u = rx * cos_turns(t), v = ry * sin_turns(t);
    path[i] = {center.x + u * c - v * s, center.y + u * s + v * c};
  }
  return path;
}

Path polygon(Vec center, float radius, int corners, float turns, float inner) {
  const int n = inner == 1.0f ? corners : 2 * corners;
  Path path(n);
  for (int i = 0; i < n; ++i) {
    const float t = turns + static_cast<float>(i) / static_cast<float>(n);
    const float r = i % 2 ? radius * inner : radius;
    path[i] = {center.x + r * cos_turns(t), center.y + r * sin_turns(t)};
  }
  return path;
}

Path rectangle(Vec center, float half_w, float half_h, float turns, float corner) {
  const float c = cos_turns(turns), s = sin_turns(turns);
  Path path;
  const auto add = [&](float u, float v) {
    path.push_back({center.x + u * c - v * s, center.y + u * s + v * c});
  };
  const float r = std::min({corner, half_w, half_h});
  const float sx[4] = {1, -1, -1, 1}, sy[4] = {1, 1, -1, -1};
  for (int k = 0; k < 4; ++k) {
    if (r < 0.5f) {
      add(sx[k] * half_w, sy[k] * half_h);
      continue;
    }
    for (int i = 0; i <= 5; ++i) {
      const float t = 0.25f * (static_cast<float>(k) + static_cast<float>(i) / 5.0f);
      add(sx[k] * (half_w - r) + r * cos_turns(t), sy[k] * (half_h - r) + r * sin_turns(t));
    }
  }
  return path;
}

namespace {

Vec catmull_rom(Vec a, Vec b, Vec c, Vec d, float t) {
  const auto one = [t](float p, float q, float r, float s) {
    return q +
           0.5f * t *
               (r - p + t * (2.0f * p - 5.0f * q + 4.0f * r - s + t * (3.0f * (q - r) + s - p)));
  };
  return {one(a.x, b.x, c.x, d.x), one(a.y, b.y, c.y, d.y)};
}

int curve_steps(Vec a, Vec b) {
  return std::clamp(static_cast<int>(0.3f * length(b - a)) + 2, 3, 16);
}

}  // namespace

Path smooth_closed(const Path& control) {
  const int n = static_cast<int>(control.size());
  Path path;
  for (int i = 0; i < n; ++i) {
    const Vec a = control[wrap(i - 1, n)], b = control[i], c = control[wrap(i + 1, n)],
              d = control[wrap(i + 2, n)];
    const int steps = curve_steps(b, c);
    for (int k = 0; k < steps; ++k)
      path.push_back(catmull_rom(a, b, c, d, static_cast<float>(k) / static_cast<float>(steps)));
  }
  return path;
}

Path smooth_open(const Path& control) {
  const int n = static_cast<int>(control.size());
  Path path;
  for (int i = 0; i + 1 < n; ++i) {
    const Vec a = control[std::max(i - 1, 0)], b = control[i], c = control[i + 1],
              d = control[std::min(i + 2, n - 1)];
    const int steps = curve_steps(b, c);
    for (int k = 0; k < steps; ++k)
      path.push_back(catmull_rom(a, b, c, d, static_cast<float>(k) / static_cast<float>(steps)));
  }
  path.push_back(control.back());
  return path;
}

Path blob(Rng& rng, Vec center, float radius, float roughness) {
  const int n = rng.between(5, 12);
  const float squash = rng.uniform(0.5f, 1.0f), turn = rng.uniform();
  const float c = cos_turns(turn), s = sin_turns(turn);
  Path control(n);
  for (int i = 0; i < n; ++i) {
    const float t = (static_cast<float>(i) + rng.uniform(-0.3f, 0.3f)) / static_cast<float>(n);
    const float r = radius * std::max(0.15f, 1.0f + roughness * rng.normal());
    const float u = r * cos_turns(t), v = squash * r * sin_turns(t);
    control[i] = {center.x + u * c - v * s, center.y + u * s + v * c};
  }
  return smooth_closed(control);
}

Path jagged(Rng& rng, Vec center, float radius, int corners) {
  Path path(corners);
  for (int i = 0; i < corners; ++i) {
    const float t =
        (static_cast<float>(i) + rng.uniform(-0.45f, 0.45f)) / static_cast<float>(corners);
    const float r = radius * rng.uniform(0.35f, 1.0f);
    path[i] = {center.x + r * cos_turns(t), center.y + r * sin_turns(t)};
  }
  return path;
}

Path reversed(Path path) {
  std::reverse(path.begin(), path.end());
  return path;
}

Shape stroke(const Path& points, const std::vector<float>& widths) {
  Shape shape;
  const auto half = [&](size_t i) { return 0.5f * widths[std::min(i, widths.size() - 1)]; };
  for (size_t i = 0; i + 1 < points.size(); ++i) {
    const Vec a = points[i], b = points[i + 1], d = b - a;
    const float l = length(d);
    if (l < 1e-3f) continue;
    const Vec n{-d.y / l, d.x / l};
    const float ra = half(i), rb = half(i + 1);
    shape.push_back({a - ra * n, b - rb * n, b + rb * n, a + ra * n});
  }
  // Thin lines need no joints: their gaps are smaller than a pixel.
  for (size_t i = 0; i < points.size(); ++i)
    if (half(i) > 0.8f) shape.push_back(ellipse(points[i], half(i), half(i), 0.0f));
  return shape;
}

Shape outline(const Path& closed, float width) {
  Path line = closed;
  if (!line.empty()) line.push_back(line.front());
  return stroke(line, {width});
}

}  // namespace mgpnet::synth
