//! The one function of `std`'s floats that `core` lacks.

/// The square root, to within one unit in the last place; 0.0 for zero, negative and NaN.
///
/// Newton's method from an estimate that halves the exponent. Only IEEE additions, multiplications and
/// divisions in a fixed order: the same result on every platform.
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

#[cfg(test)]
mod tests {
    use super::sqrt;

    #[test]
    fn square_roots_agree_with_the_hardware() {
        extern crate std;
        for i in 1..20_000_i32 {
            for value in [f64::from(i), f64::from(i) * 1e30, 1.0 / f64::from(i), f64::from(i).powi(20)] {
                let exact = f64::sqrt(value);
                assert!((sqrt(value) - exact).abs() <= exact * f64::EPSILON, "{value}");
            }
        }
        assert_eq!(sqrt(0.0), 0.0);
        assert_eq!(sqrt(-1.0), 0.0);
    }
}
