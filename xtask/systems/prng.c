/* bcryptprimitives.dll with the one function that Rust's std takes from it. Wine 8 has none. Its
 * advapi32 has the older function of the same kind, whose lengths are 32 bits. */
#include <windows.h>

BOOLEAN NTAPI SystemFunction036(void *bytes, ULONG length);

__declspec(dllexport) BOOL WINAPI ProcessPrng(unsigned char *bytes, SIZE_T length)
{
    const SIZE_T most = 1u << 20;
    while (length > 0) {
        const SIZE_T now = length < most ? length : most;
        if (!SystemFunction036(bytes, (ULONG)now))
            return FALSE;
        bytes += now;
        length -= now;
    }
    return TRUE;
}
