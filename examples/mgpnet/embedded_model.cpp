// models/mgpnet.gguf as part of the program.  The file's bytes go straight into the object file;
// CMake rebuilds this one when they change.
#include "mgpnet/model.h"

#ifdef MGPNET_EMBEDDED_MODEL
asm(".pushsection .rodata\n"
    ".balign 64\n"
    ".globl kMgpnetModelBegin\n"
    "kMgpnetModelBegin:\n"
    ".incbin \"" MGPNET_EMBEDDED_MODEL
    "\"\n"
    ".globl kMgpnetModelEnd\n"
    "kMgpnetModelEnd:\n"
    ".byte 0\n"
    ".popsection\n");
extern "C" const std::byte kMgpnetModelBegin[], kMgpnetModelEnd[];
#endif

namespace mgpnet {

std::span<const std::byte> embedded_bytes() {
#ifdef MGPNET_EMBEDDED_MODEL
  return {kMgpnetModelBegin, kMgpnetModelEnd};
#else
  return {};
#endif
}

}  // namespace mgpnet
