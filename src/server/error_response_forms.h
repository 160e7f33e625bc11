/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server/error_response_forms.h: what the answer to a failed request looks like, by API.
 */
#ifndef SERVER_ERROR_RESPONSE_FORMS_H
#define SERVER_ERROR_RESPONSE_FORMS_H

#include "protocol/mirror.h"

enum error_text {
    ERROR_TEXT_SAID,    /* what the failure told, null when it told nothing */
    ERROR_TEXT_OF_CODE, /* the code's own text, whatever was told */
    ERROR_TEXT_NONE,
};

struct error_form {
    int16_t api_key;
    int16_t version_max; /* 0: all that no row above has taken */
    enum error_text text;
    struct mirror mirror;
    void (*add)(int16_t version, const void *body, void *answer); /* NULL: no words of its own */
};

/* NULL: the API's answer has its one code at the top. */
const struct error_form *error_form_find(int16_t api_key, int16_t version);

#endif
