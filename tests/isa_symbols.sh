#!/bin/sh
# isa_symbols.sh ISA OBJECT...: kernel objects compiled for an instruction set must define nothing
# that the linker could share with code for another one.  Every global or weak definition has to
# lie in satin::cpu::ISA (functions, tables, their vtables, guards and type names alike).
isa=$1
shift
[ $# -gt 0 ] || { echo "isa_symbols: no objects for $isa"; exit 1; }
# nm letters: upper case is global or weak; U, w, v undefined.  Mangled: ...N5satin3cpu<length>ISA...
length=$(printf %s "$isa" | wc -c | tr -d ' ')
leaks=$(nm "$@" 2>/dev/null | awk 'NF == 3 && $2 ~ /^[ABCDGRSTVWu]$/ { print $3 }' |
  grep -v "5satin3cpu${length}${isa}" | sort -u)
count=$(nm "$@" 2>/dev/null | awk 'NF == 3 && $2 ~ /^[TDRW]$/' | grep -c "5satin3cpu${length}${isa}")
least=50
[ "$isa" = amx ] && least=30  # the kernels with products in bf16 only
[ "$count" -ge "$least" ] || { echo "isa_symbols: only $count symbols of $isa: looked at the wrong files?"; exit 1; }
[ -z "$leaks" ] && { echo "isa_symbols: $count symbols of $isa, none outside its namespace"; exit 0; }
echo "isa_symbols: defined outside satin::cpu::$isa, so the linker may hand them to other code:"
echo "$leaks" | c++filt
exit 1
