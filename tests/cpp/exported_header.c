/* Does with rows of floats from stdin all that a header of `to_c` offers, and writes the results to stdout.
 * Compiled with -DHEADER='"m.h"' and, where the weights have a file of their own, -DWEIGHTS='"m.bin"'. */
#include <stdio.h>

#include HEADER

#ifdef WEIGHTS
static float weights[M_WEIGHTS];
#define GIVE weights,
#else
#define GIVE
#endif

static float scratch[M_SCRATCH];

int main(void) {
  M_INPUT x[M_FEATURES];
  float code[M_COMPONENTS], decoded[M_FEATURES], reconstructed[M_FEATURES], score, outlier;
#ifdef WEIGHTS
  FILE *file = fopen(WEIGHTS, "rb");
  if (file == NULL || fread(weights, sizeof(float), M_WEIGHTS, file) != M_WEIGHTS) return 2;
  fclose(file);
  if (!m_weights_match(weights)) return 3;
#endif
  while (fread(x, sizeof x, 1, stdin) == 1) {
    m_encode(GIVE x, code, scratch);
    m_decode(GIVE code, decoded, scratch);
    m_reconstruct(GIVE x, reconstructed, scratch);
    score = m_score(GIVE x, scratch);
    outlier = (float)m_is_outlier(GIVE x, scratch);
    if (fwrite(code, sizeof code, 1, stdout) != 1 || fwrite(decoded, sizeof decoded, 1, stdout) != 1 ||
        fwrite(reconstructed, sizeof reconstructed, 1, stdout) != 1 ||
        fwrite(&score, sizeof score, 1, stdout) != 1 || fwrite(&outlier, sizeof outlier, 1, stdout) != 1) {
      return 4;
    }
  }
  return 0;
}
