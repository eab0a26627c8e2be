//! The functions of floats that `core` lacks, and the normal distribution.
//!
//! Only IEEE additions, multiplications and divisions in a fixed order: the same results on every platform.

use core::f64::consts::{LN_2, LOG2_E, PI};

/// The square root, to within one unit in the last place; 0.0 for zero, negative and NaN.
///
/// Newton's method from an estimate that halves the exponent.
pub(crate) fn sqrt(value: f64) -> f64 {
    if value.is_nan() || value <= 0.0 {
        return 0.0;
    }
    let mut root = f64::from_bits((value.to_bits() >> 1) + (1023 << 51));
    // The estimate is within 7 %; each round squares the relative error, so four reach 1e-19.
    for _ in 0..5 {
        root = 0.5 * (root + value / root);
    }
    root
}

/// `e^x` to about 14 digits; 0.0 below -700. The argument is not positive.
fn exp(x: f64) -> f64 {
    if x < -700.0 {
        return 0.0;
    }
    // x = halvings * ln 2 + rest, the rest within half of ln 2.
    let halvings = (x * LOG2_E - 0.5) as i64;
    let rest = x - halvings as f64 * LN_2;
    // Horner's scheme for the Taylor series: 0.35^15 / 15! is below 1e-18.
    let power = (1..=14_u8).rev().fold(1.0, |sum, k| 1.0 + sum * rest / f64::from(k));
    power * f64::from_bits(((halvings + 1023) as u64) << 52)
}

/// The density of the standard normal distribution.
pub(crate) fn normal_density(x: f64) -> f64 {
    exp(-0.5 * x * x) / sqrt(2.0 * PI)
}

/// The probability that a standard normal variable is above `x`, to about 10 digits.
///
/// Near zero by the series `1/2 - density * (x + x^3/3 + x^5/15 + ..)`, far from it by Laplace's continued
/// fraction `density / (x + 1/(x + 2/(x + 3/(x + ..))))` (Abramowitz and Stegun, *Handbook of Mathematical
/// Functions*, 26.2.11 and 26.2.14).
pub(crate) fn normal_tail(x: f64) -> f64 {
    if x < 0.0 {
        return 1.0 - normal_tail(-x);
    }
    if x < 2.5 {
        let (mut term, mut sum) = (x, x);
        for k in 1..40_u8 {
            term *= x * x / f64::from(2 * k + 1);
            sum += term;
        }
        0.5 - normal_density(x) * sum
    } else {
        let fraction = (1..=80_u8).rev().fold(x, |fraction, k| x + f64::from(k) / fraction);
        normal_density(x) / fraction
    }
}

#[cfg(test)]
mod tests {
    use super::{exp, normal_tail, sqrt};
    extern crate std;

    #[test]
    fn square_roots_agree_with_the_hardware() {
        for i in 1..20_000_i32 {
            for value in [f64::from(i), f64::from(i) * 1e30, 1.0 / f64::from(i), f64::from(i).powi(20)] {
                let exact = f64::sqrt(value);
                assert!((sqrt(value) - exact).abs() <= exact * f64::EPSILON, "{value}");
            }
        }
        assert_eq!(sqrt(0.0), 0.0);
        assert_eq!(sqrt(-1.0), 0.0);
    }

    #[test]
    fn exponentials_agree_with_the_library() {
        for i in 0..7_000_i32 {
            let x = -f64::from(i) / 10.0;
            assert!((exp(x) / f64::exp(x) - 1.0).abs() < 1e-12, "{x}");
        }
        assert_eq!(exp(-701.0), 0.0);
    }

    #[test]
    fn tails_are_those_of_the_tables() {
        // Abramowitz and Stegun, table 26.1 and 26.2.
        for (x, tail) in [
            (0.0, 0.5),
            (1.0, 0.158_655_253_931_457),
            (2.0, 0.022_750_131_948_179),
            (3.0, 1.349_898_031_630_09e-3),
            (5.0, 2.866_515_718_791_94e-7),
            (10.0, 7.619_853_024_160_53e-24),
        ] {
            assert!((normal_tail(x) / tail - 1.0).abs() < 1e-9, "{x}");
            assert!((normal_tail(-x) - (1.0 - tail)).abs() < 1e-12, "{x}");
        }
        // The two ways agree where one takes over from the other.
        assert!((normal_tail(2.499_999_999_9) / normal_tail(2.5) - 1.0).abs() < 1e-8);
    }
}
