#include "europa.h"

enum { RESERVED_BY_MINIMAL = 14, USABLE_BY_MINIMAL = 13 };

enum key_style key_style(void) {
  if (!have_pku()) return KEYS_NONE;
  long reserved = sys_pkey_mprotect(NULL, PAGE_SIZE, PROT_READ, RESERVED_BY_MINIMAL);
  if (reserved == -ENOSYS) return KEYS_NONE;
  if (reserved != -EOPNOTSUPP) return KEYS_ALLOCATED;
  return probe_key(PROT_READ, USABLE_BY_MINIMAL) ? KEYS_PROBED : KEYS_NONE;
}

bool probe_key(int prot, int key) {
  long result = sys_pkey_mprotect(NULL, PAGE_SIZE, prot, key);
  return result != -EOPNOTSUPP && result != -EINVAL && result != -ENOSYS;
}

u16 probe_keys(int prot) {
  u16 available = 0;
  for (int key = 1; key < KEY_COUNT; key++)
    if (probe_key(prot, key)) available |= (u16)(1u << key);
  return available;
}

int thread_pool_take(struct key_pool *pool) {
  if (!pool->probed) pool->probed = probe_keys(PROT_READ);
  u32 free = pool->probed & ~(u32)pool->taken;
  if (!free) return -ENOSPC;
  int key = __builtin_ctz(free);
  pool->taken |= (u16)(1u << key);
  return key;
}

long thread_pool_give(struct key_pool *pool, int key) {
  if (key < 1 || key >= KEY_COUNT || !(pool->taken & 1u << key)) return -EINVAL;
  pool->taken &= (u16) ~(1u << key);
  return 0;
}

int pool_take(struct key_pool *pool) {
  mutex_lock(&pool->lock);
  int key = thread_pool_take(pool);
  mutex_unlock(&pool->lock);
  return key;
}

long pool_give(struct key_pool *pool, int key) {
  mutex_lock(&pool->lock);
  long result = thread_pool_give(pool, key);
  mutex_unlock(&pool->lock);
  return result;
}

static struct key_pool process_pool;

int take_key(u32 rights) {
  if (key_style() != KEYS_PROBED) return (int)sys_pkey_alloc(0, rights);
  int key = pool_take(&process_pool);
  if (key > 0) set_rights(key, rights);
  return key;
}

long give_key(int key) {
  return key_style() == KEYS_PROBED ? pool_give(&process_pool, key) : sys_pkey_free(key);
}

void need_keys(void) {
  if (key_style() == KEYS_NONE) skip("no-protection-keys");
}

void need_style(enum key_style style) {
  need_keys();
  if (key_style() != style) skip(style == KEYS_PROBED ? "keys-are-allocated" : "keys-are-probed");
}
