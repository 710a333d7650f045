/* Reads rows of floats from stdin and writes their scores to stdout, by the model in a header that every_kind.py
 * has written; compile with -DHEADER='"plain.h"'. */
#include <stdio.h>

#include HEADER

int main(void) {
  static float scratch[MODEL_SCRATCH];
  float x[MODEL_FEATURES];

  while (fread(x, sizeof x, 1, stdin) == 1) {
    const float score = model_score(x, scratch);
    if (fwrite(&score, sizeof score, 1, stdout) != 1) return 1;
  }
  return ferror(stdin) != 0;
}
