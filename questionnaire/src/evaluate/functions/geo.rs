//! Functions over places on earth (ODK XForms, geo functions): a sphere of the equator's radius, as JavaRosa has it.

use crate::evaluate::value::Value;
use crate::moment::Zone;
use crate::number;

const RADIUS_M: f64 = 6_378_100.0;

/// Reads the points of one geopoint, trace or shape: latitude and longitude in degrees.
fn points(text: &str) -> Vec<(f64, f64)> {
    text.split(';')
        .filter_map(|point| {
            let mut parts = point.split_whitespace().map(number::from_text);
            let (latitude, longitude) = (parts.next()?, parts.next()?);
            (!latitude.is_nan() && !longitude.is_nan()).then_some((latitude, longitude))
        })
        .collect()
}

fn all_points(values: &[Value], zone: Zone) -> Vec<(f64, f64)> {
    values.iter().flat_map(|value| points(&value.to_text(zone))).collect()
}

/// Returns the square metres inside a shape.
pub(super) fn area(values: &[Value], zone: Zone) -> Value {
    let points = all_points(values, zone);
    let Some(((latitude, longitude), rest)) = points.split_first() else {
        return Value::Number(0.0);
    };
    let metres = 2.0 * std::f64::consts::PI * RADIUS_M / 360.0;
    let flat: Vec<(f64, f64)> = rest
        .iter()
        .map(|(lat, lon)| {
            let x = (lon - longitude) * metres * lat.to_radians().cos();
            let y = (lat - latitude) * metres;
            (x, y)
        })
        .collect();
    let twice: f64 =
        flat.iter().zip(flat.iter().skip(1)).map(|((x1, y1), (x2, y2))| y1 * x2 - x1 * y2).fold(0.0, |a, b| a + b);
    Value::Number((twice / 2.0).abs())
}

/// Returns the metres along a line.
pub(super) fn distance(values: &[Value], zone: Zone) -> Value {
    let points = all_points(values, zone);
    let metres = points
        .iter()
        .zip(points.iter().skip(1))
        .map(|(a, b)| {
            let (p1, p2) = (a.0.to_radians(), b.0.to_radians());
            let turn = (a.1 - b.1).to_radians();
            let cosine = p1.sin() * p2.sin() + p1.cos() * p2.cos() * turn.cos();
            // Rounding can carry the cosine of no distance past one.
            cosine.clamp(-1.0, 1.0).acos() * RADIUS_M
        })
        .fold(0.0, |a, b| a + b);
    Value::Number(metres)
}

/// Tells whether a point lies inside a shape.
pub(super) fn geofence(point: &str, shape: &str) -> Value {
    let shape = points(shape);
    let Some((y, x)) = points(point).first().copied() else {
        return Value::Boolean(false);
    };
    let mut inside = false;
    for ((y1, x1), (y2, x2)) in shape.iter().zip(shape.iter().skip(1)) {
        if (*y2 > y) != (*y1 > y) && x < (x1 - x2) * (y - y2) / (y1 - y2) + x2 {
            inside = !inside;
        }
    }
    Value::Boolean(inside)
}
