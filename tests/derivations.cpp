// The formulas of docs/derivations, written again as plain loops in f64, against what grad() says.
#include <cmath>

#include "autograd/grad.h"
#include "evaluate.h"
#include "opcheck.h"
#include "tensor/binary.h"
#include "tensor/conv2d.h"
#include "tensor/layer_norm.h"
#include "tensor/matmul.h"
#include "tensor/reshape.h"
#include "tensor/slice.h"

namespace satin {
namespace {

using Values = std::vector<double>;

Values drawn(const Shape& shape, uint64_t seed) {
  testing::Random random(seed);
  Values values;
  for (int64_t i = 0; i < shape.size(); ++i) values.push_back(random.uniform(-1, 1));
  return values;
}

void check_equal(const Values& formula, const Values& graph) {
  REQUIRE(formula.size() == graph.size());
  REQUIRE(!formula.empty());
  double worst = 0, size = 0;
  for (size_t i = 0; i < formula.size(); ++i) {
    worst = std::max(worst, std::isnan(graph[i]) ? INFINITY : std::abs(formula[i] - graph[i]));
    size = std::max(size, std::abs(formula[i]));
  }
  CHECK(size > 1e-3);
  CHECK(worst <= 1e-12 * size);
}

// visit(x offset, w offset, d offset) for every term of L (docs/derivations/conv2d.md).
template <class Visit>
void terms(const Conv2dAttrs& a, const Shape& x, const Shape& w, const Shape& d, Visit visit) {
  const int64_t cin = w[2], cout = w[3] / a.groups;
  for (int64_t n = 0; n < x[0]; ++n)
    for (int64_t oh = 0; oh < d[1]; ++oh)
      for (int64_t ow = 0; ow < d[2]; ++ow)
        for (int64_t kh = 0; kh < w[0]; ++kh)
          for (int64_t kw = 0; kw < w[1]; ++kw) {
            const int64_t i = oh * a.stride + kh * a.dilation - a.pad;
            const int64_t j = ow * a.stride + kw * a.dilation - a.pad;
            if (i < 0 || i >= x[1] || j < 0 || j >= x[2]) continue;
            for (int64_t group = 0; group < a.groups; ++group)
              for (int64_t ci = 0; ci < cin; ++ci)
                for (int64_t co = group * cout; co < (group + 1) * cout; ++co)
                  visit(((n * x[1] + i) * x[2] + j) * x[3] + group * cin + ci,
                        ((kh * w[1] + kw) * cin + ci) * w[3] + co,
                        ((n * d[1] + oh) * d[2] + ow) * w[3] + co);
          }
}

TEST_CASE("derivations: conv2d.md") {
  for (const Conv2dAttrs& attrs :
       {Conv2dAttrs{.stride = 1, .pad = 1},
        Conv2dAttrs{.stride = 2, .pad = 1, .dilation = 2, .groups = 2}}) {
    const Shape xs = {2, 7, 6, 4}, ws = {3, 2, 4 / attrs.groups, 6}, bs = {6};
    const Tensor x = input(xs, DType::f64), w = input(ws, DType::f64), b = input(bs, DType::f64);
    const Tensor y = conv2d(x, w, attrs, b);
    const Shape ds = y.shape();
    const Tensor d = input(ds, DType::f64), dx = input(xs, DType::f64), dw = input(ws, DType::f64);
    const Values vx = drawn(xs, 1), vw = drawn(ws, 2), vb = drawn(bs, 3), vd = drawn(ds, 4),
                 vdx = drawn(xs, 5), vdw = drawn(ws, 6);
    const auto member = [&](char of, const Values& u, const Values& v) {
      Values sum(static_cast<size_t>((of == 'x' ? xs : of == 'w' ? ws : ds).size()), 0.0);
      terms(attrs, xs, ws, ds, [&](int64_t ix, int64_t iw, int64_t id) {
        if (of == 'x') sum[ix] += u[iw] * v[id];
        if (of == 'w') sum[iw] += u[ix] * v[id];
        if (of == 'd') sum[id] += u[ix] * v[iw];
      });
      return sum;
    };
    Values dbias(6, 0.0);
    for (size_t i = 0; i < vd.size(); ++i) dbias[i % 6] += vd[i];

    const Tensors first = grad(y, {x, w, b}, d);
    const Tensors of_dx = grad(conv2d_input_grad(d, w, attrs, xs), {d, w}, dx);
    const Tensors of_dw = grad(conv2d_weight_grad(x, d, attrs, ws), {x, d}, dw);
    const auto v =
        testing::values_of({first[0], first[1], first[2], of_dx[0], of_dx[1], of_dw[0], of_dw[1]},
                           {x, w, b, d, dx, dw}, {vx, vw, vb, vd, vdx, vdw});
    check_equal(member('x', vw, vd), v[0]);
    check_equal(member('w', vx, vd), v[1]);
    check_equal(dbias, v[2]);
    check_equal(member('d', vdx, vw), v[3]);
    check_equal(member('w', vdx, vd), v[4]);
    check_equal(member('x', vdw, vd), v[5]);
    check_equal(member('d', vx, vdw), v[6]);
  }
}

struct NormGrad {
  Values h, y, dx, dgamma, dbeta;
};

// docs/derivations/layer_norm.md, row by row.
NormGrad layer_norm_by_formula(
    const Values& x, const Values& gamma, const Values& beta, const Values& dy, double eps) {
  const size_t c = gamma.size();
  NormGrad out{Values(x.size()), Values(x.size()), Values(x.size()), Values(c), Values(c)};
  for (size_t row = 0; row < x.size(); row += c) {
    double m = 0, v = 0, mean_g = 0, mean_gh = 0;
    for (size_t i = 0; i < c; ++i) m += x[row + i] / c;
    for (size_t i = 0; i < c; ++i) v += (x[row + i] - m) * (x[row + i] - m) / c;
    const double r = 1 / std::sqrt(v + eps);
    for (size_t i = 0; i < c; ++i) {
      const double h = out.h[row + i] = (x[row + i] - m) * r;
      out.y[row + i] = gamma[i] * h + beta[i];
      mean_g += gamma[i] * dy[row + i] / c;
      mean_gh += gamma[i] * dy[row + i] * h / c;
      out.dgamma[i] += dy[row + i] * h;
      out.dbeta[i] += dy[row + i];
    }
    for (size_t i = 0; i < c; ++i)
      out.dx[row + i] = r * (gamma[i] * dy[row + i] - mean_g - out.h[row + i] * mean_gh);
  }
  return out;
}

TEST_CASE("derivations: layer_norm.md") {
  const Shape s = {5, 7}, c = {7};
  const Tensor x = input(s, DType::f64), gamma = input(c, DType::f64), beta = input(c, DType::f64),
               dy = input(s, DType::f64);
  const Values vx = drawn(s, 1), vg = drawn(c, 2), vb = drawn(c, 3), vd = drawn(s, 4);
  for (const double eps : {1e-5, 0.3}) {
    const Tensor y = layer_norm(x, gamma, beta, {.eps = eps});
    Tensors all = grad(y, {x, gamma, beta}, dy);
    all.push_back(y);
    for (const bool fuse : {true, false}) {
      Options options;
      options.fuse = fuse;
      const auto v = testing::values_of(all, {x, gamma, beta, dy}, {vx, vg, vb, vd}, options);
      const NormGrad formula = layer_norm_by_formula(vx, vg, vb, vd, eps);
      check_equal(formula.dx, v[0]);
      check_equal(formula.dgamma, v[1]);
      check_equal(formula.dbeta, v[2]);
      check_equal(formula.y, v[3]);
    }
  }
}

TEST_CASE("derivations: gmlp_gate.md") {
  constexpr int64_t kGroups = 2, kS = 4, kC = 3;
  const Shape hs = {kGroups, kS, 2 * kC}, zs = {kGroups, kS, kC}, c = {kC}, ps = {kS, kS},
              pbs = {kS};
  const Tensor h = input(hs, DType::f64), gamma = input(c, DType::f64), beta = input(c, DType::f64),
               p = input(ps, DType::f64), pb = input(pbs, DType::f64), dz = input(zs, DType::f64);
  const Values vh = drawn(hs, 1), vg = drawn(c, 2), vb = drawn(c, 3), vp = drawn(ps, 4),
               vpb = drawn(pbs, 5), vdz = drawn(zs, 6);

  const Tensor n = layer_norm(slice(h, -1, kC, 2 * kC), gamma, beta);
  const Tensor z = slice(h, -1, 0, kC) * (matmul(p, n) + reshape(pb + 1.0, {kS, 1}));
  Tensors all = grad(z, {h, gamma, beta, p, pb}, dz);
  all.push_back(z);
  const auto v = testing::values_of(all, {h, gamma, beta, p, pb, dz}, {vh, vg, vb, vp, vpb, vdz});

  Values a, b;
  for (size_t i = 0; i < vh.size(); ++i) (i % (2 * kC) < kC ? a : b).push_back(vh[i]);
  const Values vn = layer_norm_by_formula(b, vg, vb, Values(b.size()), 1e-5).y;
  Values vz(a.size()), da(a.size()), dn(a.size()), dp(vp.size()), dpb(vpb.size());
  for (int64_t g = 0; g < kGroups; ++g)
    for (int64_t s = 0; s < kS; ++s)
      for (int64_t k = 0; k < kC; ++k) {
        const int64_t at = (g * kS + s) * kC + k;
        double u = 1 + vpb[s];
        for (int64_t t = 0; t < kS; ++t) u += vp[s * kS + t] * vn[(g * kS + t) * kC + k];
        vz[at] = a[at] * u;
        da[at] = vdz[at] * u;
        const double du = vdz[at] * a[at];
        dpb[s] += du;
        for (int64_t t = 0; t < kS; ++t) {
          dp[s * kS + t] += du * vn[(g * kS + t) * kC + k];
          dn[(g * kS + t) * kC + k] += vp[s * kS + t] * du;
        }
      }
  const NormGrad norm = layer_norm_by_formula(b, vg, vb, dn, 1e-5);
  Values dh(vh.size());
  for (size_t i = 0; i < a.size(); ++i) {
    dh[i / kC * 2 * kC + i % kC] = da[i];
    dh[i / kC * 2 * kC + kC + i % kC] = norm.dx[i];
  }
  check_equal(dh, v[0]);
  check_equal(norm.dgamma, v[1]);
  check_equal(norm.dbeta, v[2]);
  check_equal(dp, v[3]);
  check_equal(dpb, v[4]);
  check_equal(vz, v[5]);
}

}  // namespace
}  // namespace satin
