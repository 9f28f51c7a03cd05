-- Finds the chunks of a class that answer a query, best first.
--
-- Lexical relevance is BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009).
-- Its document frequencies are those of the searchable chunks of the class.
-- Semantic relevance is the exact cosine similarity between the query and the nearest window of a chunk.
-- Three rankings (lexical, semantic, hybrid) are combined by reciprocal rank fusion
-- (RRF; Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet", 2009).
--
-- Parameters:
--   scope_id          the class.
--   content_id        only materials of this content and its descendants; NULL means the whole class.
--   query_text        the words of the query, as `to_term_text` returns them.
--   vector            the embedding of the query in pgvector's text format.
--   model, dimension  the embedding model of vector.
--   top_k             maximum number of chunks; 0 means the configured number.
--
-- Every table is read by an index that begins with scope_id.
--
-- MATERIALIZED fixes the order of the steps. The planner has no statistics about the number of materials
-- in one class. From its default estimate it would choose nested loops over all of them.
-- "(x IN (SELECT ...)) IS TRUE" replaces a join for the same reason: the planner executes it as a lookup in
-- a hash table and cannot turn it into a nested loop.
WITH RECURSIVE

-- The constants of the formulas. NOT MATERIALIZED lets the planner insert them into the expressions.
-- The values gave the best results in tests/benchmarks/retrieval.py, as did the column defaults of
-- knowledge_settings.
constants AS NOT MATERIALIZED (
    SELECT
        0.9::float8 AS k1,  -- BM25 k1: term-frequency saturation
        0.4::float8 AS b,  -- BM25 b: length normalisation
        1.3::float8 AS cosine_factor,  -- factor of the cosine in the hybrid score
        0.5::float8 AS coverage_factor  -- factor of the query-term coverage in the relevance
),

-- The settings: one row, read once by the primary key.
settings AS MATERIALIZED (
    SELECT
        active_set_id, candidates, top_k, rrf_k,
        lexical_weight, semantic_weight, hybrid_weight,
        relevance_threshold, relevance_margin
    FROM knowledge_settings
    WHERE singleton
),

-- The contents that students can see: published, not deleted, and below visible contents only.
-- in_subtree is true for content_id and its descendants. UNION ALL adds one level of the tree per iteration.
-- Index: contents_siblings_key finds the children, content_revisions_published_key the published revision.
visible (content_id, in_subtree) AS (
    SELECT content.content_id, CAST(:content_id AS uuid) IS NULL OR content.content_id = :content_id
    FROM contents AS content
    WHERE content.scope_id = :scope_id
        AND content.parent_id IS NULL
        AND content.kind <> 'MATERIAL'
        AND content.deleted_at IS NULL
        AND EXISTS (
            SELECT FROM content_revisions AS revision
            WHERE revision.scope_id = :scope_id
                AND revision.content_id = content.content_id
                AND revision.state = 'PUBLISHED'
        )
    UNION ALL
    SELECT child.content_id, visible.in_subtree OR child.content_id = :content_id
    FROM visible
    JOIN contents AS child ON child.scope_id = :scope_id AND child.parent_id = visible.content_id
    WHERE child.kind <> 'MATERIAL'
        AND child.deleted_at IS NULL
        AND EXISTS (
            SELECT FROM content_revisions AS revision
            WHERE revision.scope_id = :scope_id
                AND revision.content_id = child.content_id
                AND revision.state = 'PUBLISHED'
        )
),

-- The materials that are attached to the published revision of a visible content.
-- Index: content_revisions_published_key, then the primary key of content_materials.
attached AS (
    SELECT attachment.material_id
    FROM visible
    JOIN content_revisions AS revision
        ON revision.scope_id = :scope_id
        AND revision.content_id = visible.content_id
        AND revision.state = 'PUBLISHED'
    JOIN content_materials AS attachment
        ON attachment.scope_id = :scope_id AND attachment.revision_id = revision.revision_id
    WHERE visible.in_subtree
),

-- The materials that the search covers: attached, processed, published and not deleted.
-- Index: the primary keys of materials and contents, and content_revisions_published_key.
searchable AS MATERIALIZED (
    SELECT
        material.material_id, revision.revision_id, revision.title,
        material.chunk_count, material.term_count
    FROM materials AS material
    JOIN contents AS content
        ON content.scope_id = material.scope_id AND content.content_id = material.material_id
    JOIN content_revisions AS revision
        ON revision.scope_id = material.scope_id AND revision.content_id = material.material_id
    WHERE material.scope_id = :scope_id
        AND material.status = 'READY'
        AND content.deleted_at IS NULL
        AND revision.state = 'PUBLISHED'
        AND (material.material_id IN (SELECT attached.material_id FROM attached)) IS TRUE
),

-- The stems of the query. chunk_terms contains stems of the same text search configuration and of the same
-- preparation of the text.
query_terms AS MATERIALIZED (
    SELECT lexeme AS term FROM unnest(to_tsvector('english', CAST(:query_text AS text)))
),

-- The occurrences of the query terms in searchable chunks.
-- Index: the primary key of chunk_terms (scope_id, term, ...). It contains one entry per term and chunk.
postings AS MATERIALIZED (
    SELECT
        posting.term, posting.material_id, posting.ordinal,
        posting.occurrences, posting.chunk_length
    FROM chunk_terms AS posting
    JOIN query_terms ON query_terms.term = posting.term
    WHERE posting.scope_id = :scope_id
        AND (posting.material_id IN (SELECT searchable.material_id FROM searchable)) IS TRUE
),

-- The size of the BM25 collection: the number of chunks and their average number of terms.
collection AS (
    SELECT
        sum(chunk_count)::float8 AS chunk_count,
        (sum(term_count) / sum(chunk_count))::float8 AS average_length
    FROM searchable
),

-- The number of chunks that contain each term.
document_frequencies AS (
    SELECT term, count(*) AS chunk_count FROM postings GROUP BY term
),

-- The inverse document frequency (BM25 idf, with 1 added as in Lucene, so that it is never negative) of each
-- query term. Terms that no chunk contains are included, because they count in the maximum score below.
query_weights AS (
    SELECT
        query_terms.term,
        ln(
            1 + (collection.chunk_count - coalesce(frequency.chunk_count, 0) + 0.5)
            / (coalesce(frequency.chunk_count, 0) + 0.5)
        ) AS idf,
        collection.average_length
    FROM query_terms
    CROSS JOIN collection
    LEFT JOIN document_frequencies AS frequency ON frequency.term = query_terms.term
),

-- The BM25 score of each chunk, as a fraction of the maximum score (each term saturated).
-- coverage is the part of the query, weighted by idf, whose terms occur in the chunk.
-- No table is read.
lexical AS MATERIALIZED (
    SELECT
        posting.material_id,
        posting.ordinal,
        sum(
            query_weights.idf * (
                posting.occurrences
                / (posting.occurrences + k1 * (1 - b + b * posting.chunk_length / query_weights.average_length))
            )
        ) / (SELECT sum(idf) FROM query_weights) AS score,
        sum(query_weights.idf) / (SELECT sum(idf) FROM query_weights) AS coverage
    FROM postings AS posting
    JOIN query_weights ON query_weights.term = posting.term
    CROSS JOIN constants
    GROUP BY posting.material_id, posting.ordinal
),

-- The cosine similarity of each chunk: that of its nearest window.
-- The set is NULL, and the result is empty, if the active embedding set belongs to another model.
-- Index: the primary key of chunk_embeddings (scope_id, set_id, ...). The search is exact: the vectors of one
-- class are few, and an approximate index over all classes would return mostly vectors of other classes.
-- The vector is a subquery so that its text is parsed once and not once per row.
semantic AS MATERIALIZED (
    SELECT
        embedding.material_id,
        embedding.ordinal,
        1 - min(embedding.embedding <=> (SELECT CAST(CAST(:vector AS text) AS halfvec))) AS cosine
    FROM chunk_embeddings AS embedding
    WHERE embedding.scope_id = :scope_id
        AND embedding.set_id = (
            SELECT embedding_sets.set_id
            FROM embedding_sets
            JOIN settings ON settings.active_set_id = embedding_sets.set_id
            WHERE embedding_sets.model = :model AND embedding_sets.dimension = :dimension
        )
        AND (embedding.material_id IN (SELECT searchable.material_id FROM searchable)) IS TRUE
    GROUP BY embedding.material_id, embedding.ordinal
),

-- The best chunks of the lexical and of the semantic ranking.
-- Key columns in ORDER BY make the order of equal scores, and so the result, deterministic.
candidates AS MATERIALIZED (
    (
        SELECT material_id, ordinal FROM lexical
        ORDER BY score DESC, material_id, ordinal
        LIMIT (SELECT candidates FROM settings)
    )
    UNION
    (
        SELECT material_id, ordinal FROM semantic
        ORDER BY cosine DESC, material_id, ordinal
        LIMIT (SELECT candidates FROM settings)
    )
),

-- The candidates with all their scores. relevance is compared with the threshold; the others are ranked.
scored AS MATERIALIZED (
    SELECT
        material_id,
        ordinal,
        coalesce(lexical.score, 0) AS lexical_score,
        coalesce(semantic.cosine, 0) AS semantic_score,
        coalesce(lexical.score, 0) + cosine_factor * coalesce(semantic.cosine, 0) AS hybrid_score,
        coalesce(semantic.cosine, 0) + coverage_factor * coalesce(lexical.coverage, 0) AS relevance
    FROM candidates
    LEFT JOIN lexical USING (material_id, ordinal)
    LEFT JOIN semantic USING (material_id, ordinal)
    CROSS JOIN constants
),

-- Reciprocal rank fusion: the weighted sum of 1 / (k + rank) over the rankings with a positive score.
fused AS MATERIALIZED (
    SELECT
        material_id,
        ordinal,
        relevance,
        max(relevance) OVER () AS best_relevance,
        CASE WHEN lexical_score > 0 THEN
            (SELECT lexical_weight FROM settings) / ((SELECT rrf_k FROM settings)
            + row_number() OVER (ORDER BY lexical_score DESC, material_id, ordinal))
        ELSE 0 END
        + CASE WHEN semantic_score > 0 THEN
            (SELECT semantic_weight FROM settings) / ((SELECT rrf_k FROM settings)
            + row_number() OVER (ORDER BY semantic_score DESC, material_id, ordinal))
        ELSE 0 END
        + CASE WHEN hybrid_score > 0 THEN
            (SELECT hybrid_weight FROM settings) / ((SELECT rrf_k FROM settings)
            + row_number() OVER (ORDER BY hybrid_score DESC, material_id, ordinal))
        ELSE 0 END AS fused_score
    FROM scored
),

-- The chunks to return. The result is empty if no candidate reaches the threshold.
best AS MATERIALIZED (
    SELECT
        fused.material_id, fused.ordinal, fused.fused_score,
        searchable.revision_id, searchable.title
    FROM fused
    JOIN searchable ON searchable.material_id = fused.material_id
    WHERE fused.best_relevance >= (SELECT relevance_threshold FROM settings)
        AND fused.relevance >= (SELECT relevance_threshold - relevance_margin FROM settings)
    ORDER BY fused.fused_score DESC, fused.material_id, fused.ordinal
    LIMIT coalesce(nullif(CAST(:top_k AS integer), 0), (SELECT top_k FROM settings))
)

-- The texts of these chunks.
-- Index: the primary key of material_chunks. LIMIT 1 makes each chunk one lookup by the key, independent of
-- the estimates of the planner.
SELECT
    chunk.scope_id, chunk.material_id, best.revision_id, chunk.chunk_id, best.title, chunk.ordinal,
    chunk.page, chunk.section, chunk.char_start, chunk.char_end, chunk.text, chunk.places
FROM best
CROSS JOIN LATERAL (
    SELECT *
    FROM material_chunks
    WHERE material_chunks.scope_id = :scope_id
        AND material_chunks.material_id = best.material_id
        AND material_chunks.ordinal = best.ordinal
    LIMIT 1
) AS chunk
ORDER BY best.fused_score DESC, best.material_id, best.ordinal
