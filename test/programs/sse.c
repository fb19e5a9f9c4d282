/* SSE and SSE2 by intrinsics: every integer width, saturation, shuffles, shifts, conversions; unaligned and streaming accesses. */
#include "test.h"
#include <emmintrin.h>

static uint64_t digest = 14695981039346656037u;
static uint64_t state = 17;

static void mix(__m128i v) {
  unsigned char bytes[16];
  _mm_storeu_si128((__m128i *)bytes, v);
  for (int i = 0; i < 16; i++) digest = (digest ^ bytes[i]) * 1099511628211u;
}
static __m128i random_vector(void) {
  uint64_t words[2] = {next_random(&state), next_random(&state)};
  if (words[0] % 5 == 0) words[1] = words[0];
  if (words[0] % 7 == 0) words[1] = 0x8000ffff7fff0080;
  return _mm_loadu_si128((__m128i *)words);
}
static void done(const char *name) {
  printf("%s %016llx\n", name, (unsigned long long)digest);
  digest = 14695981039346656037u;
}

#define BOTH(f) do { for (int i = 0; i < 200; i++) { __m128i a = random_vector(), b = random_vector(); mix(f(a, b)); } done(#f); } while (0)
#define COUNT(f) do { for (int i = 0; i < 200; i++) { __m128i a = random_vector(); mix(f(a, _mm_cvtsi32_si128(i % 70))); } done(#f); } while (0)
#define IMMEDIATE(f) do { for (int i = 0; i < 50; i++) { __m128i a = random_vector(); mix(f(a, 0)); mix(f(a, 1)); mix(f(a, 7)); mix(f(a, 15)); mix(f(a, 31)); mix(f(a, 0x93)); } done(#f); } while (0)

static double small(void) { return (double)(int64_t)(next_random(&state) % 2000001) / 64 - 15000; }

int main(void) {
  BOTH(_mm_add_epi8); BOTH(_mm_add_epi16); BOTH(_mm_add_epi32); BOTH(_mm_add_epi64); BOTH(_mm_adds_epi8); BOTH(_mm_adds_epi16); BOTH(_mm_adds_epu8); BOTH(_mm_adds_epu16);
  BOTH(_mm_sub_epi8); BOTH(_mm_sub_epi16); BOTH(_mm_sub_epi32); BOTH(_mm_sub_epi64); BOTH(_mm_subs_epi8); BOTH(_mm_subs_epi16); BOTH(_mm_subs_epu8); BOTH(_mm_subs_epu16);
  BOTH(_mm_mullo_epi16); BOTH(_mm_mulhi_epi16); BOTH(_mm_mulhi_epu16); BOTH(_mm_mul_epu32); BOTH(_mm_madd_epi16); BOTH(_mm_sad_epu8); BOTH(_mm_avg_epu8); BOTH(_mm_avg_epu16);
  BOTH(_mm_max_epi16); BOTH(_mm_max_epu8); BOTH(_mm_min_epi16); BOTH(_mm_min_epu8); BOTH(_mm_and_si128); BOTH(_mm_or_si128); BOTH(_mm_xor_si128); BOTH(_mm_andnot_si128);
  BOTH(_mm_cmpeq_epi8); BOTH(_mm_cmpeq_epi16); BOTH(_mm_cmpeq_epi32); BOTH(_mm_cmpgt_epi8); BOTH(_mm_cmpgt_epi16); BOTH(_mm_cmpgt_epi32);
  BOTH(_mm_packs_epi16); BOTH(_mm_packs_epi32); BOTH(_mm_packus_epi16); BOTH(_mm_unpackhi_epi8); BOTH(_mm_unpackhi_epi16); BOTH(_mm_unpackhi_epi32); BOTH(_mm_unpackhi_epi64);
  BOTH(_mm_unpacklo_epi8); BOTH(_mm_unpacklo_epi16); BOTH(_mm_unpacklo_epi32); BOTH(_mm_unpacklo_epi64);
  COUNT(_mm_sll_epi16); COUNT(_mm_sll_epi32); COUNT(_mm_sll_epi64); COUNT(_mm_srl_epi16); COUNT(_mm_srl_epi32); COUNT(_mm_srl_epi64); COUNT(_mm_sra_epi16); COUNT(_mm_sra_epi32);
  IMMEDIATE(_mm_slli_epi16); IMMEDIATE(_mm_slli_epi32); IMMEDIATE(_mm_slli_epi64); IMMEDIATE(_mm_srli_epi16); IMMEDIATE(_mm_srli_epi32); IMMEDIATE(_mm_srli_epi64);
  IMMEDIATE(_mm_srai_epi16); IMMEDIATE(_mm_srai_epi32); IMMEDIATE(_mm_shuffle_epi32); IMMEDIATE(_mm_shufflehi_epi16); IMMEDIATE(_mm_shufflelo_epi16);
  IMMEDIATE(_mm_slli_si128); IMMEDIATE(_mm_srli_si128);
  for (int i = 0; i < 200; i++) {
    __m128i v = random_vector();
    mix(_mm_cvtsi32_si128(_mm_movemask_epi8(v)));
    mix(_mm_cvtsi32_si128(_mm_extract_epi16(v, 5)));
    mix(_mm_insert_epi16(v, i * 77, 3));
    mix(_mm_move_epi64(v));
    mix(_mm_cvtsi64_si128(_mm_cvtsi128_si64(v)));
  }
  done("moves");
  for (int i = 0; i < 300; i++) {
    __m128d a = _mm_set_pd(small(), small()), b = _mm_set_pd(small(), i % 9 ? small() : 0.5);
    __m128 c = _mm_set_ps((float)small(), (float)small(), (float)small(), (float)small()), d = _mm_set_ps((float)small(), 2, -3, i % 5 ? (float)small() : 1);
#define PD(x) mix(_mm_castpd_si128(x))
#define PS(x) mix(_mm_castps_si128(x))
    PD(_mm_add_pd(a, b)); PD(_mm_sub_pd(a, b)); PD(_mm_mul_pd(a, b)); PD(_mm_div_pd(a, b)); PD(_mm_min_pd(a, b)); PD(_mm_max_pd(a, b)); PD(_mm_sqrt_pd(_mm_mul_pd(a, a)));
    PD(_mm_add_sd(a, b)); PD(_mm_div_sd(a, b)); PD(_mm_cmplt_pd(a, b)); PD(_mm_cmpeq_sd(a, a)); PD(_mm_cmpunord_pd(a, b)); PD(_mm_cmpnle_pd(a, b)); PD(_mm_unpackhi_pd(a, b)); PD(_mm_shuffle_pd(a, b, 1));
    PS(_mm_add_ps(c, d)); PS(_mm_sub_ps(c, d)); PS(_mm_mul_ps(c, d)); PS(_mm_div_ps(c, d)); PS(_mm_min_ps(c, d)); PS(_mm_max_ps(c, d)); PS(_mm_sqrt_ps(_mm_mul_ps(c, c)));
    PS(_mm_add_ss(c, d)); PS(_mm_cmpge_ps(c, d)); PS(_mm_cmpord_ps(c, d)); PS(_mm_shuffle_ps(c, d, 0x1b)); PS(_mm_unpacklo_ps(c, d)); PS(_mm_movehl_ps(c, d)); PS(_mm_movelh_ps(c, d));
    mix(_mm_cvtpd_epi32(a)); mix(_mm_cvttpd_epi32(a)); mix(_mm_cvtps_epi32(c)); mix(_mm_cvttps_epi32(c)); PD(_mm_cvtepi32_pd(_mm_cvtps_epi32(c))); PS(_mm_cvtepi32_ps(_mm_cvtpd_epi32(a)));
    PS(_mm_cvtpd_ps(a)); PD(_mm_cvtps_pd(c)); PD(_mm_cvtsi64_sd(a, i * 1234567890123ll)); PS(_mm_cvtsi32_ss(c, -i * 9999));
    mix(_mm_cvtsi64_si128(_mm_cvtsd_si64(a))); mix(_mm_cvtsi64_si128(_mm_cvttsd_si64(b))); mix(_mm_cvtsi32_si128(_mm_cvtss_si32(c))); mix(_mm_cvtsi32_si128(_mm_movemask_ps(c) | _mm_movemask_pd(a) << 8));
    mix(_mm_cvtsi32_si128(_mm_comilt_sd(a, b) | _mm_ucomigt_ss(c, d) << 1 | _mm_comieq_sd(a, a) << 2));
  }
  done("floating point");
  static char area[300] __attribute__((aligned(64)));
  for (int offset = 0; offset < 64; offset++) {
    _mm_storeu_si128((__m128i *)(area + offset), random_vector());
    _mm_storeu_pd((double *)(area + 100 + offset), _mm_set_pd(offset, offset + 1));
    mix(_mm_loadu_si128((__m128i *)(area + offset + 3)));
    _mm_storel_epi64((__m128i *)(area + 200 + offset), random_vector());
    mix(_mm_loadl_epi64((__m128i *)(area + 201 + offset)));
    mix(_mm_castpd_si128(_mm_loadh_pd(_mm_load_sd((double *)(area + offset)), (double *)(area + offset + 9))));
  }
  _mm_stream_si128((__m128i *)area, random_vector());
  _mm_stream_si64((long long *)(area + 16), 77);
  _mm_sfence();
  _mm_mfence();
  _mm_lfence();
  _mm_maskmoveu_si128(random_vector(), random_vector(), area + 5);
  _mm_prefetch(area, _MM_HINT_T0);
  _mm_clflush(area);
  for (int i = 0; i < 288; i += 16) mix(_mm_load_si128((__m128i *)(area + i)));
  done("memory");
  return 0;
}
