/* The system's certificate authorities.
 *
 * libcurl reads its whole bundle, 200 KB of PEM, for every connection: 20 ms and 900 KB each on Debian 12. A directory
 * of the same certificates named by their hash (c_rehash, update-ca-certificates) costs one small file when a chain
 * is checked. So the directory is used where there is one. */
#include <dirent.h>
#include <string.h>

#include "net/client/client_parts.h"

/* "5ed36f99.0" */
static bool is_hashed(const char *name) {
    return strspn(name, "0123456789abcdef") == 8 && name[8] == '.' && name[9] == '0' &&
           name[10] == '\0';
}

static bool has_hashed(const char *dir) {
    DIR *d = opendir(dir);
    const struct dirent *entry;
    bool is_found = false;
    if (d == NULL) return false;
    while (!is_found && (entry = readdir(d)) != NULL) is_found = is_hashed(entry->d_name);
    closedir(d);
    return is_found;
}

struct peri_authorities peri_authorities_find(void) {
    const curl_version_info_data *info = curl_version_info(CURLVERSION_NOW);
    if (info->capath != NULL && has_hashed(info->capath))
        return (struct peri_authorities){ NULL, info->capath };
    return (struct peri_authorities){ info->cainfo, info->capath };
}
