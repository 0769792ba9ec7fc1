//! Rows to types, through serde.
//!
//! A struct takes columns by name, a tuple by order, any other type the only column. Integers become
//! booleans (SQLite has none), text becomes an enum by the name of its variant.

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;

use super::{Error, Value, host};

/// Every row as a `T`.
pub(super) fn all<T: DeserializeOwned>(set: host::RowSet) -> Result<Vec<T>, Error> {
    let columns = set.columns;
    set.rows.into_iter().map(|values| one(&columns, values)).collect()
}

/// The first row as a `T`.
pub(super) fn first<T: DeserializeOwned>(set: host::RowSet) -> Result<Option<T>, Error> {
    set.rows.into_iter().next().map(|values| one(&set.columns, values)).transpose()
}

/// One row as a `T`.
pub(super) fn one<T: DeserializeOwned>(columns: &[String], values: Vec<Value>) -> Result<T, Error> {
    T::deserialize(Row { columns, values })
}

struct Row<'a> {
    columns: &'a [String],
    values: Vec<Value>,
}

impl Row<'_> {
    fn only(mut self) -> Result<Field, Error> {
        match (self.values.pop(), self.values.is_empty()) {
            (Some(value), true) => Ok(Field(value)),
            _ => Err(Error::Row(format!("a plain value needs one column, not {}", self.columns.len()))),
        }
    }
}

macro_rules! from_the_only_column {
    ($($method:ident)+) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.only()?.$method(visitor)
        })+
    };
}

impl<'de> Deserializer<'de> for Row<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let fields = self.values.into_iter().map(Field);
        visitor.visit_map(MapDeserializer::new(self.columns.iter().map(String::as_str).zip(fields)))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(SeqDeserializer::new(self.values.into_iter().map(Field)))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        if self.values.len() != length {
            return Err(Error::invalid_length(self.values.len(), &visitor));
        }
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.only()?.deserialize_enum(name, variants, visitor)
    }

    from_the_only_column! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8
        deserialize_u16 deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64 deserialize_char
        deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf deserialize_option
    }

    forward_to_deserialize_any! { i128 u128 unit_struct map struct identifier ignored_any }
}

/// One value of a row.
struct Field(Value);

impl<'de> IntoDeserializer<'de, Error> for Field {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Field {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_unit(),
            Value::Boolean(value) => visitor.visit_bool(value),
            Value::Integer(value) => visitor.visit_i64(value),
            Value::Real(value) => visitor.visit_f64(value),
            Value::Text(value) => visitor.visit_string(value),
            Value::Blob(value) => visitor.visit_byte_buf(value),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Integer(0) => visitor.visit_bool(false),
            Value::Integer(1) => visitor.visit_bool(true),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            // A `Vec<u8>` is a sequence to serde.
            Value::Blob(bytes) => visitor.visit_seq(SeqDeserializer::new(bytes.into_iter())),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::Text(text) => {
                let text: serde::de::value::StringDeserializer<Error> = text.into_deserializer();
                text.deserialize_enum(name, variants, visitor)
            }
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Status {
        Pending,
        Shipped,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Id(String);

    #[derive(Debug, PartialEq, Deserialize)]
    struct Order {
        id: Id,
        total: i64,
        quantity: u16,
        status: Status,
        reason: Option<String>,
        paid: bool,
        weight: f64,
        seal: Vec<u8>,
    }

    fn set(columns: &[&str], rows: Vec<Vec<Value>>) -> host::RowSet {
        host::RowSet { columns: columns.iter().map(|name| name.to_string()).collect(), rows }
    }

    #[test]
    fn a_struct_takes_columns_by_name() {
        let columns = ["weight", "status", "id", "total", "quantity", "reason", "paid", "seal", "unused"];
        let values = vec![
            Value::Integer(2),
            Value::Text("shipped".into()),
            Value::Text("a".into()),
            Value::Integer(1995),
            Value::Integer(3),
            Value::Null,
            Value::Integer(1),
            Value::Blob(vec![7]),
            Value::Null,
        ];
        let orders: Vec<Order> = all(set(&columns, vec![values])).unwrap();
        let expected = Order {
            id: Id("a".into()),
            total: 1995,
            quantity: 3,
            status: Status::Shipped,
            reason: None,
            paid: true,
            weight: 2.0,
            seal: vec![7],
        };
        assert_eq!(orders, [expected]);
    }

    #[test]
    fn tuples_and_plain_values_need_no_names() {
        let rows = || set(&["a", "b"], vec![vec![Value::Integer(1), Value::Text("x".into())]]);
        assert_eq!(first::<(i64, String)>(rows()).unwrap(), Some((1, "x".into())));
        assert!(first::<i64>(rows()).is_err());
        let single = |value| set(&["a"], vec![vec![value]]);
        assert_eq!(first::<i64>(single(Value::Integer(5))).unwrap(), Some(5));
        assert_eq!(first::<Id>(single(Value::Text("x".into()))).unwrap(), Some(Id("x".into())));
        assert_eq!(first::<Status>(single(Value::Text("pending".into()))).unwrap(), Some(Status::Pending));
        assert_eq!(first::<Option<i64>>(single(Value::Null)).unwrap(), Some(None));
        assert_eq!(first::<i64>(set(&["a"], vec![])).unwrap(), None);
    }

    #[test]
    fn a_struct_may_hold_another() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Line {
            order_id: String,
            #[serde(flatten)]
            rest: Rest,
        }
        #[derive(Debug, PartialEq, Deserialize)]
        struct Rest {
            status: Status,
            reason: Option<String>,
        }
        let values = vec![Value::Text("a".into()), Value::Text("shipped".into()), Value::Null];
        let line: Option<Line> = first(set(&["order_id", "status", "reason"], vec![values])).unwrap();
        let rest = Rest { status: Status::Shipped, reason: None };
        assert_eq!(line, Some(Line { order_id: "a".into(), rest }));
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let single = |value| set(&["a"], vec![vec![value]]);
        assert!(matches!(first::<u8>(single(Value::Integer(256))), Err(Error::Row(_))));
        assert!(matches!(first::<bool>(single(Value::Integer(2))), Err(Error::Row(_))));
        assert!(matches!(first::<String>(single(Value::Null)), Err(Error::Row(_))));
        assert!(matches!(first::<(i64, i64)>(single(Value::Null)), Err(Error::Row(_))));
    }
}
