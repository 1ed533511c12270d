/* Philox4x32-10 (Salmon et al. 2011): random words from a key and a counter, so that any part of the sequence can be
   made by itself, by any thread, and made again. */

#define FL_WORDS 512 /* made at a time */
#define FL_TOGETHER 32 /* words that stand together in an order of their own; see below */

#ifdef FL_BYTES
typedef uint64_t fl_counters __attribute__((vector_size(FL_BYTES), aligned(8), may_alias));
#else
typedef uint64_t fl_counters;
#endif
#ifndef FL_MULTIPLY
#define FL_MULTIPLY(a, b) (((a) & 0xffffffffu) * (b))
#endif

/* A number of 32 bits stands in the low half of 64, and what is in the high half does not matter: the product of two
   low halves has both of the words that a round wants of it. Counters first.. are 8 to 32 words: in each 16 of these,
   two words of each counter. */
static void fl_random_words(uint32_t *words, uint64_t first, uint64_t key, uint64_t call) {
    const int side = (int)(sizeof(fl_counters) / 8);
    for (int j = 0; j < FL_WORDS / 4; j += side) {
        uint64_t at[sizeof(fl_counters) / 8], k0 = key & 0xffffffffu, k1 = key >> 32;
        fl_counters x0, x1, x2, x3, none = {0};
        for (int l = 0; l < side; l++) at[l] = first + (uint64_t)(j + l);
        memcpy(&x0, at, sizeof x0);
        x1 = x0 >> 32;
        x2 = none + call;
        x3 = x2 >> 32;
        for (int round = 0; round < 10; round++) {
            fl_counters p0 = FL_MULTIPLY(x0, none + 0xd2511f53u), p1 = FL_MULTIPLY(x2, none + 0xcd9e8d57u);
            x0 = (p1 >> 32) ^ x1 ^ (none + k0);
            x1 = p1;
            x2 = (p0 >> 32) ^ x3 ^ (none + k1);
            x3 = p0;
            k0 = (k0 + 0x9e3779b9u) & 0xffffffffu;
            k1 = (k1 + 0xbb67ae85u) & 0xffffffffu;
        }
        x0 = (x0 & 0xffffffffu) | x1 << 32;
        x2 = (x2 & 0xffffffffu) | x3 << 32;
        memcpy(words + j / 8 * 32 + j % 8 * 2, &x0, sizeof x0);
        memcpy(words + j / 8 * 32 + j % 8 * 2 + 16, &x2, sizeof x2);
    }
}
