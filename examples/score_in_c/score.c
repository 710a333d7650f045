/* Scores rows of text with the model that export_model.py has written to digits.h, and counts the outliers.
 * Each line holds a row's numbers and, last, the score that Python computed: they must be the same. */
#include <stdio.h>

#include "digits.h"

int main(void) {
  static float scratch[DIGITS_SCRATCH];
  float x[DIGITS_FEATURES], theirs;
  long rows = 0, outliers = 0;

  for (;;) {
    for (int j = 0; j < DIGITS_FEATURES; ++j) {
      if (scanf("%f", &x[j]) == 1) continue;
      if (j == 0 && feof(stdin)) goto done;
      fprintf(stderr, "row %ld, column %d is no number\n", rows, j);
      return 1;
    }
    if (scanf("%f", &theirs) != 1) return 1;

    const float score = digits_score(x, scratch);
    const float difference = score > theirs ? score - theirs : theirs - score;
    if (difference > 1e-5f * (1.0f - theirs)) { /* scores are below 0 */
      fprintf(stderr, "row %ld: score %.9g, but Python says %.9g\n", rows, score, theirs);
      return 1;
    }
    ++rows;
    outliers += score < DIGITS_THRESHOLD;
  }
done:
  printf("%ld rows, %ld of them outliers; all scores are those of Python\n", rows, outliers);
  return 0;
}
