// models/mgpnet.gguf as part of the program.  The file's bytes go straight into the object file;
// CMake rebuilds this one when they change.
#include "mgpnet/model.h"

#ifdef MGPNET_EMBEDDED_MODEL
asm(".pushsection .rodata\n"
    ".balign 64\n"
    ".globl mgpnet_model_begin\n"
    "mgpnet_model_begin:\n"
    ".incbin \"" MGPNET_EMBEDDED_MODEL
    "\"\n"
    ".globl mgpnet_model_end\n"
    "mgpnet_model_end:\n"
    ".byte 0\n"
    ".popsection\n");
extern "C" const std::byte mgpnet_model_begin[], mgpnet_model_end[];
#endif

namespace mgpnet {

std::span<const std::byte> embedded_bytes() {
#ifdef MGPNET_EMBEDDED_MODEL
  return {mgpnet_model_begin, mgpnet_model_end};
#else
  return {};
#endif
}

}  // namespace mgpnet
