#include "tensor/adam.h"

namespace satin {

Tensors adam_update(const Tensor& p,
                    const Tensor& grad,
                    const Tensor& m,
                    const Tensor& v,
                    const Tensor& lr,
                    const Tensor& t,
                    const Tensor& scale,
                    AdamAttrs attrs) {
  for (const Tensor* x : {&p, &grad, &m, &v})
    if (!*x || x->shape() != p.shape())
      fail(Op::adam_update, "p, grad, m and v must have one shape");
  for (const Tensor* x : {&lr, &t, &scale})
    if (!*x || x->rank() != 0) fail(Op::adam_update, "lr, t and scale are scalars (rank 0)");
  const Desc like{p.shape(), p.dtype()};
  return outputs_of(
      make_node(Op::adam_update, Attrs(attrs), {p, grad, m, v, lr, t, scale}, {like, like, like}));
}

}  // namespace satin
