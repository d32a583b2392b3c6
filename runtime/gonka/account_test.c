#include "gonka/account.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/test.h"

static const char *get(void *arg, const char *name) {
    return strcmp(name, "KEY") == 0 ? arg : NULL;
}
static const char *entry(void *arg, size_t i) {
    (void)arg, (void)i;
    return NULL;
}

TEST(account_is_created_once_and_read_back) {
    char directory[] = "/tmp/account_test.XXXXXX", path[64], source[80], first[PERI_ADDRESS_MAX];
    struct peri_fault fault;
    struct peri_account a;
    struct stat is;
    CHECK(mkdtemp(directory) != NULL);
    snprintf(path, sizeof path, "%s/key", directory);
    snprintf(source, sizeof source, "file:%s", path);
    CHECK_EQ(peri_account_create(peri_str_of(path), &fault), PERI_OK);
    CHECK_EQ(stat(path, &is), 0);
    CHECK_EQ(is.st_mode & 0777, 0600);
    CHECK_EQ(is.st_size, 65);
    CHECK_EQ(peri_account_open(&a, peri_str_of(source), &peri_env_process_kept, &fault), PERI_OK);
    CHECK(peri_address_is_gonka(peri_str_of(a.wallet.address)));
    memcpy(first, a.wallet.address, sizeof first);
    peri_account_done(&a);
    /* Nothing overwrites a key. */
    CHECK_EQ(peri_account_create(peri_str_of(path), &fault), PERI_EINVAL);
    CHECK_EQ(peri_account_open(&a, peri_str_of(source), &peri_env_process_kept, &fault), PERI_OK);
    CHECK(strcmp(first, a.wallet.address) == 0);
    peri_account_done(&a);
    CHECK_EQ(chmod(path, 0644), 0);
    CHECK_EQ(peri_account_open(&a, peri_str_of(source), &peri_env_process_kept, &fault),
             PERI_EDENIED);
    unlink(path);
    CHECK_EQ(peri_account_create(peri_str_of(directory), &fault), PERI_EINVAL);
    rmdir(directory);
    CHECK_EQ(peri_account_create(peri_str_of(path), &fault), PERI_EIO);
}

TEST(account_of_a_published_key) {
    /* spec/vectors/gonka-vectors.json, key-1 */
    char key[] = "0000000000000000000000000000000000000000000000000000000000000001";
    struct peri_env env = { get, NULL, entry, key };
    struct peri_account a;
    struct peri_fault fault;
    CHECK_EQ(peri_account_open(&a, PERI_STR("env:KEY"), &env, &fault), PERI_OK);
    CHECK(strcmp(a.wallet.address, "gonka1w508d6qejxtdg4y5r3zarvary0c5xw7k2gsyg6") == 0);
    peri_account_done(&a);
    key[63] = 'x';
    CHECK_EQ(peri_account_open(&a, PERI_STR("env:KEY"), &env, &fault), PERI_EINVAL);
    CHECK(strstr(fault.text, "0000") == NULL);
    CHECK_EQ(peri_account_open(&a, PERI_STR("env:NONE"), &env, &fault), PERI_ENOTFOUND);
}
