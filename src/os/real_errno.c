/* SPDX-License-Identifier: Apache-2.0 */
/*
 * os/real_errno.c: from errno to enum err, in one place.
 */
#include "os/real_internal.h"

#include <errno.h>

enum err real_err(int error_number)
{
    switch (error_number) {
    case ENOSPC:
    case EDQUOT:
        return ERR_DISK_FULL;
    case ENOENT:
    case ENOTDIR: /* nothing can be below a file */
        return ERR_NOT_FOUND;
    case EEXIST:
    case ENOTEMPTY:
        return ERR_EXISTS;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_PERMISSION;
    case EMFILE:
    case ENFILE:
        return ERR_TOO_MANY_FILES;
    case ENOMEM:
    case ENOBUFS:
        return ERR_NO_MEMORY;
    case ENAMETOOLONG:
    case EFBIG:
        return ERR_TOO_LARGE;
    case EADDRINUSE:
        return ERR_ADDRESS_IN_USE;
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
    case EDESTADDRREQ:
        return ERR_ADDRESS;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    case ECONNREFUSED:
    case ECONNRESET:
    case ECONNABORTED:
    case EPIPE:
    case ENOTCONN:
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ENETUNREACH:
    case ENETDOWN:
    case ENETRESET:
        return ERR_CONNECTION;
    case EOPNOTSUPP:
    case ENOSYS:
        return ERR_UNSUPPORTED;
    default:
        return ERR_IO;
    }
}

enum err real_sync_err(int error_number)
{
    enum err err = real_err(error_number);

    return err == ERR_NO_MEMORY || err == ERR_TOO_MANY_FILES ? ERR_IO : err;
}
